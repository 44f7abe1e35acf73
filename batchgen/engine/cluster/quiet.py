"""Dask writes to the terminal; here it writes to the run's log."""

import logging
import sys

log = logging.getLogger("batchgen")

_LOGGERS = ("distributed", "tornado", "bokeh")


class _ToOurLog(logging.Handler):
    """Hands warnings of Dask on to our log, as no more than news: what they mean for a run, others say."""

    def emit(self, record: logging.LogRecord) -> None:
        log.info("dask: %s", record.getMessage())


def import_quietly() -> None:
    """Import `distributed` so that neither its loggers nor its warnings show on the terminal.

    A program that has imported it before has logging of its own for it, which is left as it is. Raises ImportError.
    """
    if "distributed" in sys.modules:
        return
    import warnings

    from distributed.versions import VersionMismatchWarning

    for name in [*_LOGGERS, *(name for name in logging.root.manager.loggerDict if name.startswith(_LOGGERS))]:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.propagate = name not in _LOGGERS
    handler = _ToOurLog(logging.WARNING)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
