"""The process that makes thumbnails: one line of JSON in (`source`, `target`), one out (`error`: null, or the reason).

It ends when its standard input does, whatever it is doing: whoever started it is gone then. Its priority is low, and
its memory limited.
"""

import json
import os
import queue
import resource
import sys
import threading
from contextlib import suppress
from pathlib import Path

from batchgen.media.thumbnail import NoThumbnailError, make_thumbnail

_NICENESS = 10
_MEMORY = 2 << 30
"""Bytes of address space: the largest pictures that are decoded need half of it."""


def main() -> None:
    """Make thumbnails until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a native library prints is no answer
    os.nice(_NICENESS)
    with suppress(OSError, ValueError):  # not every system can limit it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        answers.write(json.dumps({"error": _made(Path(request["source"]), Path(request["target"]))}) + "\n")
        answers.flush()


def _read(requests: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _made(source: Path, target: Path) -> str | None:
    """Make a thumbnail; return why not, if it cannot be made."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        make_thumbnail(source, target)
    except NoThumbnailError as error:
        return str(error)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


if __name__ == "__main__":
    main()
