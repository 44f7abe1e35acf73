"""Merging: the books of several run folders become those of one, which alone goes on with their items and jobs.

The order makes it safe to be killed anywhere. First the files are placed and the merged books are made, in a scratch
folder where nobody looks. Then the merged folder is noted as half merged, so that nothing uses it; the others are
closed; and only then the books are put in place, the journal first. Repeating the merge goes on from wherever it ended,
since whatever is there already is known by its purchases.
"""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from batchgen import receipts
from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.files import disk_errors, publish, sync_folder
from batchgen.core.text import printable
from batchgen.journal import FILE_NAME, SIMULATED, Journal, own, own_journal, sqlite_errors
from batchgen.journal.database import refuse_leftovers
from batchgen.journal.merging.combining import Combination, new_combination
from batchgen.journal.merging.marks import (
    SCRATCH,
    begin_closing,
    close_folder,
    end_closing,
    half_merged,
    merged_fact,
    merged_into,
    merged_runs,
)
from batchgen.journal.merging.overlaps import Overlap
from batchgen.journal.written import LEDGER, REPORT
from batchgen.scheduler import Ending
from batchgen.session.checks.register import Register
from batchgen.session.conclusion import conclude
from batchgen.session.connection.embedded_simulator import STATE_NAME
from batchgen.session.host import Listener, Notice
from batchgen.session.merging.books import Books, books_in_place, copied_books, refuse_mixing
from batchgen.session.merging.picks import take_picks
from batchgen.session.merging.placing import PlacedFiles, Placer
from batchgen.session.merging.remote_placing import RemotePlacer, merged_place, parent_of
from batchgen.session.outputs.binding import claim, refuse_other_owner
from batchgen.session.outputs.publishing import publish_papers
from batchgen.session.reporting import report_at_end
from batchgen.session.run_folder import noted_settings, open_owned_folder
from batchgen.session.summary import Summary
from batchgen.session.workers.left_behind import starts_in
from batchgen.settings import RUN_NAME, resolve_settings
from batchgen.simulator.state_file import merge_states
from batchgen.standing.commands import moved_option_facts
from batchgen.standing.last_run import last_run_fact, last_run_of
from batchgen.store import OUTPUTS, Address, ObjectStorage

_SHOWN = 10
"""Contradictions that are told one by one."""
_WORK = "work"


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to."""

    folder: Path
    sources: tuple[Path, ...]
    taken: tuple[Path, ...]
    """Those that held something that the merged folder did not have yet."""
    files: PlacedFiles
    summary: Summary


@dataclass(slots=True)
class _Merge:
    """One merge; the caller owns all folders."""

    into: Path
    tell: Callable[[str], None]
    taken: list[Path] = field(default_factory=list)
    files: PlacedFiles = field(default_factory=PlacedFiles)
    place: Address | None = None
    """Where the outputs of the merged run are in an object store; None: in its folder."""

    def run(self, sources: Sequence[Path]) -> None:
        """Take up `sources`, and leave the merged folder whole."""
        into = self.into
        target = books_in_place(into, self.tell) if (into / FILE_NAME).exists() else None
        if target is None and not (into / SCRATCH).is_dir():
            refuse_leftovers(into)
        with _scratch(into) as scratch:
            books = [copied_books(source, scratch / f"{n}", self.tell) for n, source in enumerate(sources)]
            known = {} if target is None else merged_runs(target.facts)
            _refuse_elsewhere(books, into, known)
            refuse_mixing([*([] if target is None else [target]), *books])
            self.place = merged_place(into, target, books)
            if self.place is not None:
                refuse_other_owner(ObjectStorage(self.place, into), None if target is None else target.run_id)
            changed = [one for one in books if known.get(one.run_id) != one.looks]
            if target is None or changed:
                self._make(scratch / "new", target, changed)
            begin_closing(into, sources)
            for source in sources:
                close_folder(source, into, utc_now())
            if target is None or changed:
                _put_in_place(scratch / "new", into)
            self.taken = [one.folder for one in changed]
        take_picks(sources, into)
        end_closing(into)

    def _make(self, new: Path, target: Books | None, changed: Sequence[Books]) -> None:
        """Make the merged books in the new folder `new`, and place the files that they name."""
        with disk_errors(new):
            new.mkdir(mode=0o700)
        together = [*([] if target is None else [target]), *changed]
        with sqlite_errors(new / FILE_NAME), new_combination(new / FILE_NAME) as combination:
            for one in together:
                combination.add(one.journal, nameless=one.nameless)
            _refuse_overlaps(combination, together)
            named = None if target is None else (target.run_id, target.generation)
            combination.combine(_facts(self.into, target, changed, self.place), named)
            placer = Placer(self.into) if self.place is None else RemotePlacer(self.into, self.place, together)
            for number, one in enumerate(together):
                if one is not target:
                    placer.place(one.folder, combination.files(number))
            placer.finish()
            self.files = placer.placed
        with closing(Journal(new)) as journal, journal.transaction():
            journal.link_chains()
        if together[0].embedded:
            merge_states(new / STATE_NAME, [one.folder / STATE_NAME for one in together])


def merge(sources: Sequence[Path], into: Path, environment: Mapping[str, str], listen: Listener) -> Merged:
    """Merge run folders into the run folder `into`, which is made if it does not exist, and close them.

    They keep all they hold, but only `into` goes on with their items and jobs. May be repeated, also after it was
    interrupted. Raises UsageError, RunFolderError, DiskError, StoreError.
    """
    into = into.resolve()
    folders = _checked(sources, into)
    merging = _Merge(into, lambda text: listen(Notice(text)))
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(own(folder, utc_now()))
            stack.enter_context(own_journal(folder / FILE_NAME, create=False))
        made = _make_folder(into)
        stack.enter_context(own(into, utc_now()))
        try:
            _refuse_unfit(folders, into)
            merging.run(folders)
        except BaseException:
            if made and not (into / FILE_NAME).exists() and not half_merged(into):
                shutil.rmtree(into, ignore_errors=True)
            raise
        return _concluded(merging, folders, environment, listen)


def _checked(sources: Sequence[Path], into: Path) -> list[Path]:
    """Return the folders to be merged, each once, without the merged one. Raises UsageError."""
    if into.exists() and not into.is_dir():
        raise UsageError(f"--into {printable(str(into), 300)} is a file; give the name of a run folder")
    if not RUN_NAME.fullmatch(into.name):
        raise UsageError(
            f"--into {printable(str(into), 300)}: the folder's name is the run's, and must have at most 64 characters"
            " of a-z, 0-9, '.', '_' and '-'"
        )
    folders = [folder for folder in dict.fromkeys(source.resolve() for source in sources) if folder != into]
    if not folders:
        raise UsageError("there is nothing to merge: name run folders besides the one that they are merged into")
    for folder in folders:
        if into.is_relative_to(folder) or folder.is_relative_to(into):
            raise UsageError(f"{into} and {folder} lie within each other; choose another --into")
    return folders


def _make_folder(into: Path) -> bool:
    """Make a folder, durably, unless it is there already; return whether it was made. Raises DiskError."""
    with disk_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            into.mkdir()
        except FileExistsError:
            return False
        sync_folder(into.parent)
    return True


def _refuse_unfit(folders: Sequence[Path], into: Path) -> None:
    """Raise RunFolderError where the merged folder is closed itself, or an interrupted merge had other folders too.

    Or where workers have left in one of them what its journal does not know yet.
    """
    for folder in folders:
        if starts_in(folder):
            raise RunFolderError(
                f"workers have left in {folder} what they did last: `batchgen collect {shlex.quote(str(folder))}` takes"
                " it over; merge after that"
            )
    if (beyond := merged_into(into)) is not None:
        raise RunFolderError(f"{into} was merged into {printable(str(beyond), 300)}; merge into that folder")
    if lacking := [str(folder) for folder in half_merged(into) if folder not in folders]:
        raise RunFolderError(
            f"an interrupted merge into {into} has closed {printable(', '.join(lacking), 1000)} too; repeat it with"
            " all of its run folders"
        )


def _refuse_elsewhere(books: Sequence[Books], into: Path, known: Mapping[str, str]) -> None:
    """Raise RunFolderError for a run folder that went into another one, unless that is this one under a new path."""
    for one in books:
        before = merged_into(one.folder)
        if before is not None and before != into and one.run_id not in known:
            raise RunFolderError(
                f"{one.folder} was merged into {printable(str(before), 300)} already; merge that folder"
            )


def _refuse_overlaps(combination: Combination, together: Sequence[Books]) -> None:
    unique = not together[0].embedded
    found = combination.overlaps(_SHOWN, jobs_are_unique=unique)
    if found:
        lines = [_told(overlap, together) for overlap in found[:_SHOWN]] + ["and more"] * (len(found) > _SHOWN)
        raise RunFolderError(f"these run folders contradict each other, and nothing was merged: {'; '.join(lines)}")


def _told(overlap: Overlap, together: Sequence[Books]) -> str:
    item = printable(overlap.item_id, 120)
    first, second = (together[number].folder for number in (overlap.first, overlap.second))
    job = f" (job {printable(overlap.detail, 120)})" if overlap.detail else ""
    return {
        "request": f"{item} has another request in {first} than in {second}: run both with the same manifest first",
        "bought": f"{item} was bought in {first} and, by itself, in {second}",
        "purchase": f"a purchase of {item}{job} stands otherwise in {first} than in {second}",
        "job": f"{item}: {first} and {second} have different purchases with one job{job}",
    }[overlap.kind]


def _facts(into: Path, target: Books | None, changed: Sequence[Books], place: Address | None) -> dict[str, str]:
    """Return the facts of the merged run: those it had, else those of the first of the others."""
    first = changed[0] if target is None else target
    names = ("api", "account", "settings", "manifest") if target is None else first.facts.keys() - {LEDGER, REPORT}
    facts = {name: first.facts[name] for name in names if name in first.facts}
    if target is None:
        facts |= {"run": into.name, **moved_option_facts(first.facts, _options_of(into, place))}
        facts |= {} if place is None else {OUTPUTS: str(place)}
    proved = [one.facts[SIMULATED] for one in [first, *changed] if one.facts.get(SIMULATED)]
    records = {} if target is None else merged_runs(target.facts)
    for one in changed:
        records |= merged_runs(one.facts) | {one.run_id: one.looks}
    return facts | {SIMULATED: proved[0] if proved else ""} | merged_fact(records)


def _options_of(into: Path, place: Address | None) -> list[str]:
    """Return the options that lead to the merged run."""
    if place is None:
        return ["--output", str(into.parent), "--run", into.name]
    return ["--output", str(parent_of(place)), "--state", str(into.parent), "--run", into.name]


@contextmanager
def _scratch(into: Path) -> Iterator[Path]:
    """Give an empty folder within the merged one, and remove it at the end."""
    work = into / SCRATCH / _WORK
    with disk_errors(work):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put_in_place(new: Path, into: Path) -> None:
    """Put the merged books in place: the journal first, from which its receipts could be made anew."""
    with disk_errors(into):
        for name in (STATE_NAME, FILE_NAME, receipts.FILE_NAME):
            if not (new / name).exists():
                continue
            # What they hold is in the new files (see `books_in_place`), and a log must not meet another database.
            for suffix in ("-wal", "-shm"):
                (into / f"{name}{suffix}").unlink(missing_ok=True)
            with (new / name).open("rb+") as file:
                os.fsync(file.fileno())
            publish(new / name, into / name)


def _concluded(merging: _Merge, folders: Sequence[Path], environment: Mapping[str, str], listen: Listener) -> Merged:
    """Write ledger, summary and report of the merged run, and have the register of runs know it."""
    with suppress(OSError):
        (merging.into / SCRATCH).rmdir()
    with open_owned_folder(merging.into, create=False) as journal:
        facts = journal.facts()
        if merging.place is not None:
            claim(ObjectStorage(merging.place, merging.into), journal)
        wanted = resolve_settings({}, environment, noted_settings(facts)).report
        summary = conclude(facts["run"], journal, Ending(None, "", 0))
        with journal.transaction():
            journal.note(**last_run_fact(last_run_of(facts)))  # a merge is no run
        items = sum(summary.counts.values())
        report = report_at_end(journal, wanted, listen, items=items, interrupted=False)
        if (failure := publish_papers(journal)) is not None:
            listen(Notice(f"ledger, summary and report were not uploaded: {failure}"))
        Register.of(environment).remember(journal)
    return Merged(merging.into, tuple(folders), tuple(merging.taken), merging.files, replace(summary, report=report))
