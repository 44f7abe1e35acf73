"""The journal's tables and the ways to open them. Times are milliseconds since 1970 (UTC), money is decimal text."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batchgen import receipts
from batchgen.core.descriptors import TOO_MANY, none_left
from batchgen.core.errors import BatchgenError, DescriptorsError, DiskError, OutsideError, RunFolderError
from batchgen.core.files import disk_errors
from batchgen.journal.integrity import content_fault, log_fault, value_fault
from batchgen.journal.readonly import connect_for_reading

VERSION = 3
FILE_NAME = "journal.sqlite3"
_VOUCHED = """
-- What the receipts were, up to which byte, when this was committed (one row). Generation 0: there were none yet.
CREATE TABLE vouched (
  run_id     TEXT NOT NULL,     -- random: tells like-named run folders, and copies of one, apart
  generation INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  sha256     TEXT NOT NULL,
  -- How many attempts there are, and how many with a job: pages of two copies put together show by it (`integrity`).
  attempts   INTEGER NOT NULL,
  accepted   INTEGER NOT NULL
);
INSERT INTO vouched SELECT lower(hex(randomblob(8))), 0, 0, '', COUNT(*), COUNT(job_id) FROM attempt;
CREATE TRIGGER attempt_begun AFTER INSERT ON attempt BEGIN
  UPDATE vouched SET attempts = attempts + 1, accepted = accepted + (NEW.job_id IS NOT NULL);
END;
CREATE TRIGGER attempt_accepted AFTER UPDATE OF job_id ON attempt BEGIN
  UPDATE vouched SET accepted = accepted + (NEW.job_id IS NOT NULL) - (OLD.job_id IS NOT NULL);
END;
CREATE TRIGGER attempt_dropped AFTER DELETE ON attempt BEGIN
  UPDATE vouched SET attempts = attempts - 1, accepted = accepted - (OLD.job_id IS NOT NULL);
END;
"""
_MOVES = """
-- Files on their way to another name, since their purchase was given to another item (`renaming`).
CREATE TABLE move (
  attempt INTEGER NOT NULL REFERENCES attempt (key),
  number  INTEGER NOT NULL,
  target  TEXT NOT NULL,  -- relative to the run folder
  PRIMARY KEY (attempt, number)
) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX attempt_job ON attempt (job_id) WHERE job_id IS NOT NULL;
CREATE UNIQUE INDEX attempt_purchase ON attempt (purchase);
CREATE INDEX attempt_lost ON attempt (key) WHERE state = 'lost';
CREATE INDEX attempt_fewer ON attempt (key) WHERE error_type = 'fewer_outputs';
"""
MIGRATIONS: dict[int, str] = {
    1: f"""
ALTER TABLE attempt ADD COLUMN purchase TEXT NOT NULL DEFAULT '';
UPDATE attempt SET purchase = printf('%011x', submitted_at) || substr(lower(hex(randomblob(5))), 1, 9);
ALTER TABLE attempt ADD COLUMN reserved TEXT NOT NULL DEFAULT '0';
UPDATE attempt SET reserved = estimated;
ALTER TABLE attempt ADD COLUMN price_key TEXT NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN told TEXT;
ALTER TABLE attempt ADD COLUMN surplus TEXT NOT NULL DEFAULT '0';
ALTER TABLE attempt ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN misses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN missed_ms INTEGER NOT NULL DEFAULT 0;
{_INDEXES}
{_VOUCHED}
{_MOVES}
""",
    2: """
ALTER TABLE item RENAME COLUMN listed TO position;
ALTER TABLE attempt RENAME COLUMN tables TO catalog_version;
""",
}
"""By version, the statements that lead to the next one. A change of the tables below adds an entry, and keeps all."""

SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Every item that was ever asked for, as it was bought. (id, digest) is its identity: an edited item is another row.
CREATE TABLE item (
  key       INTEGER PRIMARY KEY,
  id        TEXT NOT NULL,
  digest    TEXT NOT NULL,
  model     TEXT NOT NULL,
  body      TEXT NOT NULL,
  tags      TEXT NOT NULL,
  path      TEXT NOT NULL,
  source    TEXT NOT NULL,
  estimated TEXT NOT NULL,
  inputs    TEXT NOT NULL,
  state     TEXT NOT NULL DEFAULT 'pending',
  attempts  INTEGER NOT NULL DEFAULT 0,  -- the number of the last attempt
  position  INTEGER,                     -- in the manifest that was read last; NULL: it no longer asks for it
  UNIQUE (id, digest)
);
CREATE INDEX item_pending ON item (position) WHERE state = 'pending' AND position IS NOT NULL;
CREATE INDEX item_unsettled ON item (state) WHERE state IN ('submitting', 'processing', 'ready', 'in_doubt');

-- One row for each POST that cost money, may have done so, or was refused for good; it is there before the POST leaves.
CREATE TABLE attempt (
  key           INTEGER PRIMARY KEY,
  item          INTEGER NOT NULL REFERENCES item (key),
  number        INTEGER NOT NULL,
  state         TEXT NOT NULL DEFAULT 'submitting',
  estimated     TEXT NOT NULL,
  charged       TEXT,
  refunded      TEXT,
  job_id        TEXT,
  account       TEXT NOT NULL,
  catalog_version TEXT NOT NULL,
  submitted_at  INTEGER NOT NULL,
  accepted_at   INTEGER,
  completed_at  INTEGER,
  refunded_at   INTEGER,
  expires_at    INTEGER,
  took_ms       INTEGER,  -- from acceptance to the end of the job, by the provider's clock where it says so
  inference_ms  INTEGER,
  polls         INTEGER NOT NULL DEFAULT 0,
  error_type    TEXT,
  error_message TEXT,
  answer        BLOB,     -- the bytes of the answer to the POST, bounded
  purchase      TEXT NOT NULL,     -- random: under this name the receipts know it
  reserved      TEXT NOT NULL,     -- what is counted while it is on its way or in doubt, USD
  price_key     TEXT NOT NULL DEFAULT '',  -- the model and the parameters that price it
  told          TEXT,              -- the last price that the API itself named, USD
  surplus       TEXT NOT NULL DEFAULT '0',     -- by how much it named more earlier, USD
  confirmed     INTEGER NOT NULL DEFAULT 0,    -- whether an answer has confirmed what it costs
  misses        INTEGER NOT NULL DEFAULT 0,  -- answers that said it is not known, since it last was seen
  missed_ms     INTEGER NOT NULL DEFAULT 0,  -- for how long it was asked for while they came
  UNIQUE (item, number)
);
{_INDEXES}

CREATE TABLE output (
  attempt INTEGER NOT NULL REFERENCES attempt (key),
  number  INTEGER NOT NULL,
  url     TEXT NOT NULL,
  path    TEXT,      -- NULL until the file is renamed, fsynced and hashed
  bytes   INTEGER,
  sha256  TEXT,
  PRIMARY KEY (attempt, number)
) WITHOUT ROWID;
CREATE INDEX output_path ON output (path) WHERE path IS NOT NULL;
{_VOUCHED}
{_MOVES}
"""


# Whole numbers all the way: a float of seconds is off by a millisecond now and then.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    """Return an aware datetime as whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(value: int) -> datetime:
    """Return milliseconds since 1970 as an aware datetime in UTC."""
    return _EPOCH + value * _MILLISECOND


class JournalLockedError(OutsideError):
    """Another program holds a lock on the journal, for longer than was waited for it."""


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors: a full or unwritable disk into DiskError, damage into RunFolderError, a lock that
    another program holds into JournalLockedError.

    Damage can show in any way where rows become values; so whatever is raised, a journal that proves to be damaged is
    the reason for it.
    """
    try:
        yield
    except BatchgenError:
        raise
    except sqlite3.DatabaseError as error:
        primary = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else None
        if primary in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_CANTOPEN,
        ):
            if primary == sqlite3.SQLITE_CANTOPEN and none_left():
                raise DescriptorsError(f"cannot open the journal {path}: {TOO_MANY}") from error
            raise DiskError(f"cannot write the journal {path}: {error}") from error
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged(path, str(error)) from error
        if primary == sqlite3.SQLITE_BUSY:
            raise JournalLockedError(
                f"the journal {path} is locked by another program: end that one, and run again"
            ) from error
        if str(error).startswith("Could not decode to UTF-8"):  # the module's own words, without a code
            raise _damaged(path, "it holds a text that is not UTF-8") from error
        _blame(path, error)
        raise
    except Exception as error:
        _blame(path, error)
        raise


def _blame(path: Path, error: Exception) -> None:
    """Raise RunFolderError where the journal at `path` is damaged, for this is what `error` comes from."""
    if not path.exists():
        return
    with closing(connect_for_reading(path)) as db:
        try:
            fault = content_fault(db) or value_fault(db)
        except sqlite3.Error as another:
            fault = str(another)
    if fault is not None:
        raise _damaged(path, fault) from error


def _damaged(path: Path, why: str) -> RunFolderError:
    return RunFolderError(
        f"the journal {path} is damaged ({why}), and to start anew would buy everything again; {_way_back(path.parent)}"
    )


def _way_back(folder: Path) -> str:
    """Say how a journal comes back, as the tail of a sentence."""
    if (folder / receipts.FILE_NAME).exists():
        return f"`batchgen recover {folder} MANIFEST` makes it anew from {receipts.FILE_NAME}"
    return f"restore {FILE_NAME} from a backup"


def refuse_leftovers(folder: Path) -> None:
    """Raise RunFolderError where a folder without a journal holds what a run left: it would all be bought again."""
    left = [name for name in _LEFTOVERS if _holds_something(folder / name)]
    if left:
        ledger = f" --skip-bought {folder / 'ledger.csv'}" if "ledger.csv" in left else ""
        raise RunFolderError(
            f"{folder} holds {' and '.join(left)} of a run, but no journal of what was bought, and starting anew would"
            f" buy everything again; {_way_back(folder)}, or begin another run with --run NAME{ledger}"
        )


_LEFTOVERS = ("files", "superseded", "ledger.csv", receipts.FILE_NAME)


def _holds_something(path: Path) -> bool:
    # An empty folder, or a link to one on a larger disk, may have been made ready for a first run.
    return any(path.iterdir()) if path.is_dir() else path.exists()


def open_database(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open a journal for writing, durable at every commit; make its tables where `create` allows it.

    synchronous=FULL in WAL mode syncs the log before a commit returns (SQLite documentation, "PRAGMA synchronous");
    fullfsync asks macOS for the same. Raises RunFolderError for a damaged, missing or newer journal, DiskError.
    """
    if not path.exists() or not path.stat().st_size:
        if not create:
            raise RunFolderError(f"{path.parent} is no run folder: it has no {FILE_NAME}, or an empty one")
        refuse_leftovers(path.parent)
        if path.with_name(f"{FILE_NAME}-wal").exists():
            raise _damaged(path, "there is nothing but its log")
    with disk_errors(path):
        fault = log_fault(path)
    if fault is not None:
        raise _damaged(path, fault)
    with sqlite_errors(path):
        # One thread uses it at a time, but not always the one that opened it.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                # Only a file without a single table is one whose making was cut short.
                if not create or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    raise _damaged(path, "it has no version")
                refuse_leftovers(path.parent)
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            else:
                _bring_forward(connection, path, version)
                if fault := content_fault(connection):
                    raise _damaged(path, fault)
        except BaseException:
            connection.close()
            raise
    return connection


def _bring_forward(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Lead an older journal to the present version, a step a transaction. Raises RunFolderError for a newer one."""
    if version > VERSION or not all(step in MIGRATIONS for step in range(version, VERSION)):
        raise RunFolderError(
            f"the journal {path} has version {version}, and this batchgen knows version {VERSION}; "
            "use the batchgen that wrote it, or a newer one"
        )
    for step in range(version, VERSION):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;")


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a journal for reading, also beside a process that writes it. Raises RunFolderError."""
    if not path.exists():
        raise RunFolderError(f"{path.parent} is no run folder: it has no {FILE_NAME}")
    with sqlite_errors(path):
        connection = connect_for_reading(path)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                hint = "`batchgen run` or `collect` brings it forward" if version in MIGRATIONS else "use a newer one"
                raise RunFolderError(
                    f"the journal {path} has version {version}, and this batchgen knows version {VERSION}; {hint}"
                )
            # One snapshot for all that is read: sums and rows then agree while a run goes on.
            connection.execute("BEGIN")
        except BaseException:
            connection.close()
            raise
    return connection
