"""The log of a start, told to the coordinator: a run has one log."""

import asyncio
import logging
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Self

from batchgen.engine.worker.link import Link

_logger = logging.getLogger("batchgen")
_current: ContextVar["TellingHandler | None"] = ContextVar("current start", default=None)
"""The handler of the start that this code works for; threads and tasks of a start are begun with its context."""


class TellingHandler(logging.Handler):
    """Tells the coordinator of what a start warns of, from whichever thread; a context manager, for its event loop.

    A worker's process may have several starts at the same time: each tells what it logs itself.
    """

    def __init__(self, link: Link) -> None:
        super().__init__(logging.WARNING)
        self._link = link
        self._loop = asyncio.get_running_loop()
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
        step = {"step": "log", "level": record.levelno, "text": record.getMessage()}
        with suppress(RuntimeError):  # the loop was closed meanwhile: its journal says the same
            self._loop.call_soon_threadsafe(self._link.tell, step)
