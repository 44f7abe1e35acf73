"""The report of a run: thumbnails while files arrive, and the page at its end. Neither ever changes how a run ends."""

import logging
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.core.errors import BatchgenError
from batchgen.core.records import StoredFile
from batchgen.core.text import printable
from batchgen.journal import Journal
from batchgen.media.thumbnail import missing_extra as missing_for_thumbnails
from batchgen.policy.stopping import Stop
from batchgen.report import IN_ONE_FILE, missing_extra
from batchgen.scheduler import RunState
from batchgen.session.checks.unchanged import write_report_if_changed
from batchgen.session.host import Listener, Notice

if TYPE_CHECKING:
    from batchgen.thumbnails import Thumbnailer

log = logging.getLogger("batchgen")

_PATIENCE = 3.0
"""Seconds for which a run that has finished waits for its last thumbnails; `batchgen report` makes the others."""

_QUICK = 2_000
"""Items of which a report is written in about a second: an interrupted run has no time for more."""


@asynccontextmanager
async def thumbnails_beside(folder: Path, run_state: RunState) -> AsyncIterator[None]:
    """Make thumbnails of what arrives within the block, in a process of its own, where they are wanted."""
    remote = run_state.ports.store.remote  # then a file is gone from here as soon as it is recorded
    if remote or run_state.policy.settings.report != "full" or missing_for_thumbnails("image"):
        yield
        return
    thumbnailer: Thumbnailer | None = None

    def offer(file: StoredFile) -> None:
        nonlocal thumbnailer
        if thumbnailer is None:
            from batchgen.thumbnails import Thumbnailer  # a run with nothing to do needs none

            thumbnailer = Thumbnailer(folder)
        thumbnailer.offer(folder / file.path, file.sha256)

    run_state.watch_files(offer)
    patience = 0.0
    try:
        yield
        patience = 0.0 if run_state.stopped_because is Stop.INTERRUPTED else _PATIENCE
    finally:
        left = 0 if thumbnailer is None else await thumbnailer.close(patience)
        if left:
            log.info("%d thumbnails were not made yet; `batchgen report` makes them", left)


def report_at_end(
    journal: Journal, wanted: str, listen: Listener, *, items: int, interrupted: bool
) -> Path | str | None:
    """Write the report, if it would show anything new; return where it is, why there is none, or None: none is wanted.

    The run has ended, and all else is written: nothing that happens here changes that, an interruption included.
    """
    folder = journal.path.parent
    again = f"`{shlex.join(['batchgen', 'report', str(folder)])}` writes it"
    if wanted == "none":
        return None
    if hint := missing_extra():
        return f"not written: it needs an extra: {hint}"
    if interrupted and items > _QUICK:
        return f"not written, since the run was interrupted; {again}"

    def tell() -> None:
        if items > IN_ONE_FILE:
            listen(Notice(f"writing the report of {items:,} items; Ctrl-C leaves it out"))

    try:
        return write_report_if_changed(journal, tell)
    except KeyboardInterrupt:
        log.warning("the report was interrupted")
        return f"not written, since it was interrupted; {again}"
    except BatchgenError as error:
        log.warning("the report was not written: %s", printable(str(error)))
        return f"not written: {printable(str(error), 200)}"
    except Exception:
        log.exception("the report was not written")
        return f"not written, because of a bug: batchgen.log says more; {again}"
