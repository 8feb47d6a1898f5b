package harness

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Postgres is a PostgreSQL server with a data directory of its own, which
// listens on the loopback interface and trusts everybody. It does not sync: its
// data survive a kill of the server, not of the machine.
type Postgres struct {
	*Process
	dir   string
	port  int
	owner *syscall.Credential // nil: who runs the tests
}

// StartPostgres makes a new, empty server. PostgreSQL refuses to run as root:
// for root it runs as the account postgres or nobody.
func StartPostgres(ctx context.Context) (*Postgres, error) {
	dir, err := os.MkdirTemp("", "jetstep-postgres-")
	if err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir}
	err = p.create(ctx)
	if err == nil {
		err = p.Restart(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *Postgres) create(ctx context.Context) error {
	var err error
	if p.port, err = FreePort(); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if p.owner, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(p.dir, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
			return fmt.Errorf("giving away the directory of PostgreSQL: %w", err)
		}
	}
	initdb, err := postgresBinary("initdb")
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, initdb, "--pgdata", p.dir, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	command.Dir, command.Env = p.dir, Environment(p.dir)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// Restart starts the server again after it has ended, on the same port and data.
func (p *Postgres) Restart(ctx context.Context) error {
	server, err := postgresBinary("postgres")
	if err != nil {
		return err
	}
	p.Process, err = Start(Command{
		Name: "postgres", Path: server, Dir: p.dir, Env: Environment(p.dir), Credential: p.owner,
		Args: []string{
			"-D", p.dir, "-p", strconv.Itoa(p.port), "-h", "127.0.0.1", "-k", "", "-F",
			"-c", "max_connections=200", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		},
	})
	if err != nil {
		return err
	}
	if err := p.awaitReady(ctx); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

func (p *Postgres) awaitReady(ctx context.Context) error {
	db, err := sql.Open("pgx", p.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = Await(ctx, "PostgreSQL", func(ctx context.Context) (struct{}, error) {
		if err := p.Exited(); err != nil {
			return struct{}{}, Permanent(err)
		}
		return struct{}{}, db.PingContext(ctx)
	})
	return err
}

// URL is the connection string of a database of the server.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

// CreateDatabase makes an empty database and returns its connection string.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) (string, error) {
	db, err := sql.Open("pgx", p.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, `CREATE DATABASE "`+name+`"`); err != nil {
		return "", fmt.Errorf("creating the database %s: %w", name, err)
	}
	return p.URL(name), nil
}

// Crash ends the server at once, without writing anything (SIGQUIT, after which
// it frees what it has of the system). [Postgres.Restart] recovers its data.
func (p *Postgres) Crash() error {
	if err := p.signalAndWait(syscall.SIGQUIT, 10*time.Second); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// Close ends the server at once and removes its data.
func (p *Postgres) Close() error { return errors.Join(p.Crash(), os.RemoveAll(p.dir)) }

// postgresBinary finds a program of PostgreSQL: in PATH, else the newest of
// where Debian and Homebrew install it.
func postgresBinary(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/opt/homebrew/opt/postgresql@*/bin/", "/usr/local/opt/postgresql@*/bin/"} {
		found, err := filepath.Glob(pattern + name)
		if err == nil && len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", fmt.Errorf("%s of PostgreSQL is missing: run scripts/install-test-tools.sh", name)
}

func unprivileged() (*syscall.Credential, error) {
	var failed error
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("no account for PostgreSQL: %w", failed)
}
