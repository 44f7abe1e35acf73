"""What Dask would say on the terminal: nothing of it shows, and warnings are in the run's log."""

import subprocess
import sys
from pathlib import Path

from support.engine.clusters import PATHS, PATIENCE
from support.running import environment

SCRIPT = """
import asyncio, sys
from pathlib import Path
from batchgen.core.run_log import logging_to
from support.engine.clusters import opened, scheduler, worker

async def main(folder):
    with scheduler(folder) as (process, engine), worker(engine, folder):
        for address in ("local:1", engine):
            async with opened(address, folder, "shouting") as on:
                ticket = on.cluster.place(on.ticket(0))
                await on.until(lambda: ticket.ended)
                assert ticket.fault is None
                if address is engine:
                    process.kill()
                    await on.until(lambda: on.cluster.lost is not None)

with logging_to(Path(sys.argv[1]) / "run.log"):
    asyncio.run(main(Path(sys.argv[1])))
"""


def test_nothing_of_dask_shows_on_the_terminal(tmp_path: Path) -> None:
    """In a process of its own: whoever has imported Dask before has settings of their own for what it says."""
    played = subprocess.run(
        [sys.executable, "-X", "dev", "-c", SCRIPT, str(tmp_path)],
        env=environment(**PATHS), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=3 * PATIENCE, check=False,
    )  # fmt: skip
    assert (played.returncode, played.stdout) == (0, "")
    assert [
        line for line in played.stderr.splitlines() if not line.startswith("Executing <")
    ] == []  # slow, says -X dev
    assert "INFO dask: Failed to reconnect to scheduler" in (tmp_path / "run.log").read_text(encoding="utf-8")
