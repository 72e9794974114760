package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/postern-dev/postern/internal/core/access"
)

// checkText refuses text that PostgreSQL cannot hold, on both engines alike and before it can break a transaction.
func checkText(what string, args []any) error {
	for _, arg := range args {
		if s, ok := arg.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			if what == "" {
				what = "request"
			}
			return access.Fault(access.KindInvalid, "malformedText",
				"the %s has text that cannot be kept; use UTF-8 without zero bytes", what)
		}
	}
	return nil
}

// fault is what a driver's error means, by its code and never by its text.
type fault int

const (
	faultOther fault = iota
	faultExists
	faultReference
	faultRefused     // by a rule of the schema
	faultSerial      // the transaction may succeed if it is repeated
	faultLost        // the connection is gone, or the server is not there
	faultUnavailable // the database cannot do it now
)

func faultOf(err error) fault {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return faultOther // before net.Error, which the latter is too
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteFault(e.Code())
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresFault(e.Code)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return faultLost
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) {
		return faultLost
	}
	return faultOther
}

func sqliteFault(code int) fault {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return faultExists
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return faultReference
	}
	const primary = 0xff
	switch code & primary {
	case sqlite3.SQLITE_CONSTRAINT:
		return faultRefused
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return faultUnavailable
	default:
		return faultOther
	}
}

func postgresFault(code string) fault {
	switch {
	case code == "23505":
		return faultExists
	case code == "23503":
		return faultReference
	case strings.HasPrefix(code, "23"):
		return faultRefused
	case strings.HasPrefix(code, "40"):
		return faultSerial
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"):
		return faultLost
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"), code == "25006", code == "55P03",
		code == "57014":
		return faultUnavailable
	default:
		return faultOther
	}
}

// retryable tells whether a transaction that failed with err had no effect and may succeed when it is repeated.
func retryable(err error) bool {
	if errors.Is(err, errUnknownOutcome) {
		return false
	}
	f := faultOf(err)
	return f == faultSerial || f == faultLost || errors.Is(err, errSettled)
}

// fatal tells whether err ends the transaction, and not only one statement.
func fatal(err error) bool {
	f := faultOf(err)
	return f == faultSerial || f == faultLost || f == faultUnavailable || errors.Is(err,
		context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// errSettled marks a transaction that is to be repeated without the call that broke it.
var errSettled = errors.New("a call broke the transaction")

// errUnknownOutcome marks a commit of which nobody can tell whether it took effect.
var errUnknownOutcome = errors.New("the connection broke during the commit, and the database does not tell whether " +
	"it took effect")

// classify turns a driver's error into one that callers understand. What is an *access.Error, or the end of the
// caller's context, passes through. what is the noun for the message; it may be empty.
func classify(what string, err error) error {
	if _, ok := errors.AsType[*access.Error](err); ok {
		return err
	}
	if what == "" {
		what = "record"
	}
	var e *access.Error
	switch faultOf(err) {
	case faultExists:
		e = access.Fault(access.KindConflict, "exists",
			"a %s of that name or id is there already, or names the same thing; choose another", what)
	case faultReference:
		e = access.Fault(access.KindConflict, "reference",
			"the %s refers to something that is not there, or something still refers to it", what)
	case faultRefused:
		e = access.Fault(access.KindInternal, "refusedByStore", "the %s breaks a rule of the store", what)
	case faultSerial, faultLost, faultUnavailable:
		e = access.Fault(access.KindUnavailable, "storeUnavailable", "the database does not answer now; try again")
	case faultOther:
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		e = access.Fault(access.KindInternal, "store", "the store failed on the %s", what)
	}
	e.Err = err
	return e
}
