package store

import (
	"context"
	"fmt"
	"testing"
)

// interrupted is a database in which another process comes in after each of our migrations and carries out the next
// one.
type interrupted struct{ have []migration }

func (*interrupted) dialect() dialect               { return sqliteDialect }
func (*interrupted) lock(context.Context) error     { return nil }
func (*interrupted) unlock(context.Context) error   { return nil }
func (i *interrupted) next(m migration)             { i.have = append(i.have, m) }
func (i *interrupted) wanted() ([]migration, error) { return migrations(i.dialect()) }

func (i *interrupted) applied(context.Context) ([]migration, error) { return i.have, nil }

func (i *interrupted) apply(_ context.Context, m migration) error {
	if m.number != int64(len(i.have))+1 {
		return fmt.Errorf("it is there already, as one of %d", len(i.have))
	}
	i.next(m)
	wanted, err := i.wanted()
	if err == nil && len(i.have) < len(wanted) {
		i.next(wanted[len(i.have)])
	}
	return err
}

// TestMigrationsGoOnFromWhatAnotherDid has another process come in between two migrations: what it did is not done
// again.
func TestMigrationsGoOnFromWhatAnotherDid(t *testing.T) {
	t.Parallel()
	i := &interrupted{}
	if err := migrate(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if wanted, err := i.wanted(); err != nil || len(i.have) != len(wanted) {
		t.Errorf("%d of %d migrations are there: %v", len(i.have), len(wanted), err)
	}
}
