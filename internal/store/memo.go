package store

// memo keeps, for the length of one batch, what nearly every change in it asks and hardly any alters. On PostgreSQL
// each answer spares a round trip that all who wait in the batch would wait for. It is keyed by the noun that writes
// name and by what was asked; a write to the noun, or a change that is taken back, forgets.
type memo map[string]map[string]any

func (m memo) forget(noun string) { delete(m, noun) }

// remembered gives the answer from m, or asks; with m nil it only asks.
func remembered[T any](m memo, noun, question string, ask func() (T, error)) (T, error) {
	if known, ok := m[noun][question].(T); ok {
		return known, nil
	}
	answer, err := ask()
	if err == nil && m != nil {
		m.keep(noun, question, answer)
	}
	return answer, err
}

// keep remembers an answer. Whoever gets it later shares what it points to, and changes nothing of that.
func (m memo) keep(noun, question string, answer any) {
	if m[noun] == nil {
		m[noun] = map[string]any{}
	}
	m[noun][question] = answer
}
