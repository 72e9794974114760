package machines

// What one agent may write at once, and in each hour: groups of denied attempts, of which beyond that the sum is kept;
// and words about itself: that rules drifted, that something is wrong or right again, that a report was refused, that a
// certificate was renewed. Beyond that its condition stays as it was last recorded, until there is room again. Of
// grants that drift, fail, and are open again, each time with two events, a gateway that loses a table of five thousand
// says so at once; what is more is refused, and said later, as it is then; see settled.
const (
	maxDeniedAnHour = 2_000
	maxWordsAnHour  = 500
	maxMovesAnHour  = 10_000
)
