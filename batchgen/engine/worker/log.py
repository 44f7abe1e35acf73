"""The log of a start, told to the coordinator: a run has one log."""

import logging
from contextvars import ContextVar, Token
from typing import Self

from batchgen.engine.worker.link import Link

_logger = logging.getLogger("batchgen")
_current: ContextVar["TellingHandler | None"] = ContextVar("current start", default=None)
"""The handler of the start that this code works for; threads and tasks of a start are begun with its context."""


class TellingHandler(logging.Handler):
    """Tells the coordinator of everything that is worth a line in the run's log; a context manager.

    A worker's process may have several starts at the same time: each tells what it logs itself.
    """

    def __init__(self, link: Link) -> None:
        super().__init__(logging.WARNING)
        self._link = link
        self._outer: Token[TellingHandler | None] | None = None
        self.addFilter(lambda _: _current.get() is self)

    def __enter__(self) -> Self:
        self._outer = _current.set(self)
        _logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _logger.removeHandler(self)
        if self._outer is not None:
            _current.reset(self._outer)

    def emit(self, record: logging.LogRecord) -> None:
        self._link.tell({"step": "log", "level": record.levelno, "text": record.getMessage()})
