"""The books of several embedded simulators made into one, so that the jobs of merged run folders are found again."""

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from batchgen.core.errors import DiskError
from batchgen.core.files import disk_errors
from batchgen.simulator.state_file import StateFile

_OPENING = Decimal(1_000_000)


def merge_states(made: Path, states: Iterable[Path]) -> None:
    """Write the jobs and accounts of state files that nobody uses to a new one; a state that does not exist is empty.

    Simulators that do not know of each other give equal requests one id; they are one job then. Raises DiskError.
    """
    with closing(StateFile(made, paid=_OPENING, promo=Decimal(0))):
        pass
    for state in states:
        if state.exists():
            _take(made, state)


def _take(made: Path, state: Path) -> None:
    copy = made.with_name("copied.sqlite3")  # a log beside it is folded in, and the original stays as it is
    with disk_errors(copy):
        for suffix in ("", "-wal"):
            if state.with_name(f"{state.name}{suffix}").exists():
                shutil.copyfile(f"{state}{suffix}", f"{copy}{suffix}")
    try:
        with closing(sqlite3.connect(made, isolation_level=None)) as db:
            db.execute("ATTACH ? AS other", (str(copy),))
            db.execute("BEGIN")
            db.execute("INSERT OR IGNORE INTO account SELECT * FROM other.account")
            # Numbered without a gap: the next job gets the number of all jobs and one more.
            db.execute(
                "CREATE TEMP TABLE more AS SELECT * FROM other.job WHERE id NOT IN (SELECT id FROM main.job)"
                " ORDER BY number"
            )
            db.execute("UPDATE temp.more SET number = rowid + (SELECT COUNT(*) FROM main.job)")
            db.execute("INSERT INTO job SELECT * FROM temp.more")
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise DiskError(f"cannot take over the simulator's books {state}: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(f"{copy.name}{suffix}").unlink(missing_ok=True)
