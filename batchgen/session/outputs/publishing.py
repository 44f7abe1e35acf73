"""Ledger, summary and report beside the outputs in an object store, as they are at the end of a run.

The ledger there is one more witness: where it knows of purchases that the journal lacks, the run folder is an older
copy.
"""

import logging
from pathlib import Path

from batchgen.core.errors import BatchgenError, StoreError
from batchgen.core.text import printable
from batchgen.journal import Journal
from batchgen.ledger import LEDGER_NAME
from batchgen.report import files_of_report
from batchgen.session.checks.evidence import evidence_of
from batchgen.session.checks.unchanged import PUBLISHED
from batchgen.session.summary import SUMMARY_NAME
from batchgen.store import ObjectStorage, store_of

log = logging.getLogger("batchgen")


def publish_papers(journal: Journal) -> str | None:
    """Upload them if the outputs of a run folder are in an object store; return why that failed, or None.

    They can be made again at any time, so nothing is lost by it.
    """
    folder = journal.path.parent
    try:
        store = store_of(folder, journal.facts())
        if isinstance(store, ObjectStorage):
            sha256 = store.put_file(LEDGER_NAME, folder / LEDGER_NAME)
            with journal.transaction():
                journal.note(**{PUBLISHED: sha256})
            for path in (folder / SUMMARY_NAME, *files_of_report(folder)):
                if path.exists():
                    store.put_file(path.relative_to(folder).as_posix(), path)
    except BatchgenError as error:
        log.warning("ledger, summary and report were not uploaded: %s", printable(str(error)))
        return printable(str(error), 300)
    return None


def compare_published_ledger(storage: ObjectStorage, journal: Journal) -> None:
    """Compare the ledger beside the outputs with the journal, unless it is the one that was uploaded last.

    Raises RunFolderError where it knows more, StoreError.
    """
    facts, known = journal.facts(), storage.known(LEDGER_NAME)
    if known is None or known.sha256 == facts.get(PUBLISHED, ""):
        return
    shown = f"{storage.address}/{LEDGER_NAME}"
    try:
        with storage.open(LEDGER_NAME) as copy:
            evidence_of(Path(str(copy.name)), shown, facts.get("run"))(journal.db)
    except OSError as error:
        raise StoreError(error.strerror or f"{shown} cannot be read") from error
