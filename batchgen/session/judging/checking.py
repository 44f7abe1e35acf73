"""Judges the files of a run folder that no run has got to, and says which are flagged: for `batchgen check`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchgen.catalog import Catalog
from batchgen.core.text import printable
from batchgen.journal import Journal
from batchgen.journal.delivered import Findings, UnjudgedFile
from batchgen.journal.queries.judged import Flagged, FlaggedFile, flagged_files, flagged_of
from batchgen.ledger import write_ledger
from batchgen.plan.selection import Selection
from batchgen.scheduler.judging.judgement import Standards, judged
from batchgen.session.checks.evidence import note_ledger
from batchgen.session.judging.standards import standards_of
from batchgen.session.run_folder import open_run_folder
from batchgen.store import OutputStore, store_of

_AT_ONCE = 32
"""Files whose judgements are written together."""


@dataclass(frozen=True, slots=True)
class CheckedFiles:
    """What a look at the files of a run came to."""

    run: str
    judged: int
    """Files that were judged now."""
    undecoded: int
    """Files that cannot be judged as a whole, since the extra `media` is not installed."""
    unreadable: tuple[str, ...]
    """Files that are not there or cannot be read, with the reason."""
    flagged: Flagged
    """Of the selected items, also what was judged before."""

    @property
    def clean(self) -> bool:
        """Whether every file was judged and nothing was found."""
        return not (self.flagged.items or self.undecoded or self.unreadable)


def check_files(
    folder: Path,
    catalog: Catalog,
    selection: Selection,
    *,
    again: bool = False,
    standards: Standards | None = None,
    found: Callable[[FlaggedFile], None] = lambda _: None,
    looked: Callable[[], object] = lambda: None,
) -> CheckedFiles:
    """Judge files of selected items: those that are not judged yet; all of them, if `again`.

    `found` is called with each flagged file, `looked` after each one that was looked at. Buys nothing and asks nothing
    of the API. Raises RunFolderError, also while a run owns the folder, and DiskError.
    """
    with open_run_folder(folder, create=False) as journal:
        run = journal.facts().get("run", folder.name)
        look = _Look(journal, store_of(folder, journal.facts()), standards or standards_of(catalog), again, looked)
        journal.select(selection.wanted)
        while look.judge_some():
            pass
        if look.judged:
            write_ledger(run, folder)
            with journal.transaction():
                note_ledger(journal, folder)
        for flagged in flagged_files(journal.db):
            found(flagged)
        return CheckedFiles(run, look.judged, look.undecoded, tuple(look.unreadable), flagged_of(journal.db))


class _Look:
    """Goes through the files once, in the order of their purchases."""

    def __init__(
        self,
        journal: Journal,
        store: OutputStore,
        standards: Standards,
        again: bool,  # noqa: FBT001 - as `check_files` was asked
        looked: Callable[[], object],
    ) -> None:
        self._journal, self._store, self._standards = journal, store, standards
        self._again, self._looked = again, looked
        self._place = (0, 0)
        self.judged = self.undecoded = 0
        self.unreadable: list[str] = []

    def judge_some(self) -> bool:
        """Judge the next files, and write down what was found; False if there is none left."""
        with self._journal.transaction():
            for _ in range(_AT_ONCE):
                file = self._journal.next_to_judge(self._place, again=self._again)
                if file is None:
                    return False
                self._place = file.place
                self._judge(file)
                self._looked()
        return True

    def _judge(self, file: UnjudgedFile) -> None:
        try:
            found = judged(self._standards, self._store, file)
        except OSError as error:
            self.unreadable.append(f"{printable(file.file.path)}: {error.strerror}")
            return
        can_judge = self._standards.can_judge(file.work.item)
        if file.facts is None:
            self._journal.put_findings(file.attempt, file.file, Findings(found.facts, found.flags))
        if can_judge:
            self._journal.record_judgement(file, None if found.look is None else found.look.hash, found.flags)
            self.judged += 1
        else:
            self.undecoded += 1
