package store

import "context"

// Count is how many statements changes have sent.
type Count struct {
	All   int // with those that begin and end transactions
	Reads int // on PostgreSQL each is a round trip, on which all who wait in the batch wait
}

// CountStatements counts the statements of changes from now on. Nothing may be changed meanwhile.
func (db *DB) CountStatements() *Count {
	c := &Count{}
	db.backend = countingBackend{db.backend, c}
	return c
}

type countingBackend struct {
	backend

	count *Count
}

func (b countingBackend) writer(ctx context.Context) (writer, error) {
	w, err := b.backend.writer(ctx)
	return countingWriter{w, b.count}, err
}

type countingWriter struct {
	writer

	count *Count
}

func (w countingWriter) begin(ctx context.Context) (head, error) {
	w.count.All += 2 // it reads the head of the activity log
	return w.writer.begin(ctx)
}

func (w countingWriter) query(ctx context.Context, text string, args ...any) (answer, error) {
	w.count.All++
	w.count.Reads++
	return w.writer.query(ctx, text, args...)
}

func (w countingWriter) exec(ctx context.Context, wr write) error {
	w.count.All++
	return w.writer.exec(ctx, wr)
}

func (w countingWriter) save(ctx context.Context) error {
	w.count.All++
	return w.writer.save(ctx)
}

func (w countingWriter) release(ctx context.Context) error {
	w.count.All++
	return w.writer.release(ctx)
}

func (w countingWriter) commit(ctx context.Context) error {
	w.count.All++
	return w.writer.commit(ctx)
}
