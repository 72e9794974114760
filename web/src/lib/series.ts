// A request that repeats, as the form offers it: simple rhythms, counted, in the viewer's own zone.

const days = ["MO", "TU", "WE", "TH", "FR"];
const workday = (at: Date) => at.getDay() % 6 !== 0;

/** rhythms is what one may choose, with as many windows as fit into the year that the server allows. */
export const rhythms = {
  daily: { name: "Every day", most: 365, rule: "FREQ=DAILY", step: 1 },
  weekdays: { name: "Every weekday, Monday to Friday", most: 260, rule: "FREQ=WEEKLY;BYDAY=" + days.join(), step: 1 },
  weekly: { name: "Every week on the same day", most: 52, rule: "FREQ=WEEKLY", step: 7 },
} as const;
export type Rhythm = keyof typeof rhythms;

/** rule is what the server is asked for. */
export const rule = (rhythm: Rhythm, times: number) => `${rhythms[rhythm].rule};COUNT=${times}`;

/**
 * windows gives the starts that the rule stands for: the same time by the clock on each day, also when clocks change.
 */
export function windows(rhythm: Rhythm, first: Date, times: number): Date[] {
  const found: Date[] = [];
  // Each from the first, and not from the one before: a night that leaves out the time moves that window alone.
  for (let k = 0; found.length < times; k++) {
    const at = new Date(first);
    at.setDate(first.getDate() + k * rhythms[rhythm].step);
    if (rhythm !== "weekdays" || workday(at)) found.push(at);
  }
  return found;
}

const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

/** dates names the days of windows: all of a few, otherwise the first ones and the last. */
export function dates(all: Date[], most = 5): string {
  const named = (some: Date[]) => some.map((at) => day.format(at)).join("; ");
  return all.length <= most ? named(all) : `${named(all.slice(0, most - 1))} … the last ${day.format(all.at(-1))}`;
}

/** typed is an instant as a field for date and time takes it. */
export const typed = (at: Date) => new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
