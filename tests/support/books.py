"""What stands in the books of a run folder, and older copies of them."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from support.bought import Buyer

from batchgen.journal import FILE_NAME, Journal
from batchgen.receipts import FILE_NAME as RECEIPTS


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / RECEIPTS).read_bytes().splitlines()]


def standing(run: Path) -> dict[str, str]:
    with closing(sqlite3.connect(run / FILE_NAME)) as db:
        return dict(db.execute("SELECT id, state FROM item"))


def jobs(run: Path) -> set[str]:
    with closing(sqlite3.connect(run / FILE_NAME)) as db:
        return {job for (job,) in db.execute("SELECT job_id FROM attempt WHERE job_id IS NOT NULL")}


def kept(run: Path, *names: str) -> Callable[[], None]:
    """Remember files as they are now; the result puts them back, and takes away what was not there."""
    before = {name: (run / name).read_bytes() if (run / name).exists() else None for name in names}

    def put_back() -> None:
        for name, content in before.items():
            (run / name).unlink(missing_ok=True)
            if content is not None:
                (run / name).write_bytes(content)

    return put_back


@contextmanager
def buying(run: Path) -> Any:
    with closing(Journal(run)) as journal, journal.transaction():
        yield Buyer(journal)


def reopened(run: Path) -> tuple[str, ...]:
    with closing(Journal(run)) as journal:
        return journal.notices
