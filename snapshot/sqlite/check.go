package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrUnchecked: the database needs an extension of the program that it belongs to, so that only a
// part could be checked. ErrDamaged may come with it.
var ErrUnchecked = errors.New("the database could not be checked completely")

// alone opens a file that nobody else has, without making anything beside it.
const alone = "mode=ro&immutable=1&_pragma=trusted_schema(off)"

// checkSettings: the rows come in an order that is not that of the indexes they are looked up in, so
// that in SQLite's 2 MB most pages of those would be read for each. Kibibytes.
const checkSettings = "PRAGMA ignore_check_constraints = on; PRAGMA cache_size = -32768"

// problems is how many of them a message names.
const problems = 5

// CheckImage runs integrity_check on a private image, in the time that ctx gives. It reports
// ErrNotDatabase, ErrDamaged with what SQLite found, ErrUnchecked, or the cause of ctx. What the
// owner's program should not have written (a CHECK that does not hold) is no damage.
func CheckImage(ctx context.Context, path string) error {
	if _, ok, err := readHeader(path); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("%s: %w", path, ErrNotDatabase)
	}
	c, err := connect(ctx, path, alone)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = c.ExecContext(ctx, checkSettings); err == nil {
		err = c.check(ctx, fmt.Sprint(problems))
	}
	if strange(err) {
		err = errors.Join(fmt.Errorf("%w: %w", ErrUnchecked, err), c.checkTables(ctx))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, fault(err))
	}
	return nil
}

// check runs integrity_check, whose argument is a number of problems or a table.
func (c *conn) check(ctx context.Context, arg string) error {
	found, err := c.strings(ctx, "PRAGMA integrity_check("+arg+")")
	if err != nil {
		return err
	}
	if len(found) == 1 && found[0] == "ok" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(found[:min(problems, len(found))], "; "))
}

// checkTables checks table by table what can be checked of a database that needs extensions: at
// the least, that the rows can be walked.
func (c *conn) checkTables(ctx context.Context) error {
	tables, err := c.tables(ctx)
	for _, t := range tables {
		one := c.check(ctx, quoted(t))
		if strange(one) {
			_, one = c.count(ctx, t)
		}
		if !strange(one) {
			err = errors.Join(err, fault(one))
		}
	}
	return err
}

// strange reports whether SQLite misses a collation, function or module.
func strange(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_ERROR
}

// A Table is a table and how many rows it has.
type Table struct {
	Name string
	Rows int64 // -1: they cannot be counted here
}

// Tables lists the tables of a private image by name, without SQLite's own and those in
// which a virtual table keeps itself.
func Tables(ctx context.Context, path string) ([]Table, error) {
	c, err := connect(ctx, path, alone)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	names, err := c.tables(ctx)
	var tables []Table
	for _, name := range names {
		n, err := c.count(ctx, name)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if strange(err) {
			n = -1
		} else if err != nil {
			return nil, fmt.Errorf("%s: table %s: %w", path, name, fault(err))
		}
		tables = append(tables, Table{name, n})
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, fault(err))
	}
	return tables, err
}

func (c *conn) tables(ctx context.Context) ([]string, error) {
	return c.strings(ctx, `SELECT name FROM pragma_table_list WHERE schema = 'main'
		AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`)
}

// count counts the rows of a table; by the table itself if its indexes need an extension.
func (c *conn) count(ctx context.Context, table string) (n int64, err error) {
	for _, how := range []string{"", " NOT INDEXED"} {
		err = c.QueryRowContext(ctx, "SELECT count(*) FROM "+quoted(table)+how).Scan(&n)
		if !strange(err) {
			break
		}
	}
	return n, err
}

// strings returns the first column of a query.
func (c *conn) strings(ctx context.Context, query string) (all []string, err error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
