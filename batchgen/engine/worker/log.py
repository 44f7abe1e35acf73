"""The log of a start, told to the coordinator: a run has one log."""

import logging
from typing import Self

from batchgen.engine.worker.link import Link

_logger = logging.getLogger("batchgen")


class TellingHandler(logging.Handler):
    """Tells the coordinator of everything that is worth a line in the run's log; a context manager."""

    def __init__(self, link: Link) -> None:
        super().__init__(logging.WARNING)
        self._link = link

    def __enter__(self) -> Self:
        _logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._link.tell({"step": "log", "level": record.levelno, "text": record.getMessage()})
