"""A viewer in a process of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.running import COMMAND, environment


@contextmanager
def viewer(folder: Path, *options: str) -> Iterator[str]:
    """Start a viewer of a run folder, and give its first address; it is ended with the block."""
    process = subprocess.Popen(
        [COMMAND, "view", str(folder), "--port", "0", "--no-browser", *options],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.stderr.read()
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=30)
