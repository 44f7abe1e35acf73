"""Ledger, summary and report beside the outputs in an object store, as they are at the end of a run."""

import logging
from collections.abc import Mapping
from pathlib import Path

from batchgen.core.errors import BatchgenError
from batchgen.core.text import printable
from batchgen.ledger import LEDGER_NAME
from batchgen.report import files_of_report
from batchgen.session.summary import SUMMARY_NAME
from batchgen.store import ObjectStorage, store_of

log = logging.getLogger("batchgen")


def publish_papers(folder: Path, facts: Mapping[str, str]) -> str | None:
    """Upload them if the outputs of a run folder are in an object store; return why that failed, or None.

    They can be made again at any time, so nothing is lost by it.
    """
    try:
        store = store_of(folder, facts)
        if isinstance(store, ObjectStorage):
            for path in (folder / LEDGER_NAME, folder / SUMMARY_NAME, *files_of_report(folder)):
                if path.exists():
                    store.put_file(path.relative_to(folder).as_posix(), path)
    except BatchgenError as error:
        log.warning("ledger, summary and report were not uploaded: %s", printable(str(error)))
        return printable(str(error), 300)
    return None
