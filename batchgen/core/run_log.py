"""The log in a run folder: what a session writes there, and no other session in the same process."""

import logging
import logging.handlers
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from io import TextIOWrapper
from pathlib import Path

from batchgen.core.files import disk_errors, open_private
from batchgen.core.text import printable

LOG_NAME = "batchgen.log"
_BYTES = 10_000_000
_COPIES = 5
LOG_NAMES = (LOG_NAME, *(f"{LOG_NAME}.{number}" for number in range(1, _COPIES + 1)))
_logger = logging.getLogger("batchgen")
_current: ContextVar["RunLog | None"] = ContextVar("current run log", default=None)
"""The log of the run that this code works for; threads and tasks of a run are started with its context."""


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Write what this run logs to `path` while the block runs. Raises DiskError."""
    handler = RunLog(path)
    outer = _current.get()
    _current.set(handler)
    _attached.add(handler)
    try:
        yield
    finally:
        _attached.remove(handler)
        _current.set(outer)
        handler.close()


class RunLog(logging.handlers.RotatingFileHandler):
    """What one run logs: one line a record, in UTC, without control characters. It never stops a run."""

    def __init__(self, path: Path) -> None:
        with disk_errors(path):
            super().__init__(path, maxBytes=_BYTES, backupCount=_COPIES, encoding="utf-8", errors="replace")
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self.addFilter(lambda _: _current.get() is self)

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=open_private)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), 4000)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: ARG002, N802 - logging's name and argument
        """Judge by the file alone: logging would format each record once more to learn its length."""
        return self.stream is not None and os.fstat(self.stream.fileno()).st_size >= _BYTES

    def close(self) -> None:
        """Close it. A full disk took no more lines, and takes those no better that wait in the buffer now."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Keep going: what the log says stands in the journal as well."""


class _Attached:
    """The run logs that are open. While there are any, our logger lets through what they take, and the program's own
    handlers get what they would get otherwise, and no more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[RunLog] = []
        self._before = (logging.NOTSET, True)
        self._relay: _Relay | None = None

    def add(self, handler: RunLog) -> None:
        with self._lock:
            if not self._open:
                self._before = (_logger.level, _logger.propagate)
                if _logger.propagate:
                    self._relay = _Relay(_logger.getEffectiveLevel())
                    _logger.addHandler(self._relay)
                _logger.setLevel(min(logging.INFO, _logger.getEffectiveLevel()))
                _logger.propagate = False
            self._open.append(handler)
            _logger.addHandler(handler)

    def remove(self, handler: RunLog) -> None:
        with self._lock:
            self._open.remove(handler)
            _logger.removeHandler(handler)
            if not self._open:
                level, _logger.propagate = self._before
                _logger.setLevel(level)
                if self._relay is not None:
                    _logger.removeHandler(self._relay)
                self._relay = None


_attached = _Attached()


class _Relay(logging.Handler):
    """Hands records on to the handlers of the loggers above ours."""

    def emit(self, record: logging.LogRecord) -> None:
        parent = _logger.parent
        if parent is not None and parent.hasHandlers():  # else logging would write to stderr, as its last resort
            parent.callHandlers(record)
