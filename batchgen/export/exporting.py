"""Exports a run folder: what is wanted is read in one snapshot and placed; what is not wanted any more is removed."""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import IO

from batchgen.core.files import disk_errors
from batchgen.export.archive import write_archive
from batchgen.export.collecting import collect
from batchgen.export.cost_sheets import SHEET_NAME, SUMS_NAME, write_sheet, write_sums
from batchgen.export.destination import (
    Destination,
    Obstacle,
    archive_mark,
    archive_of,
    check_archive,
    is_untouched,
    opened,
    owned,
    stat_of,
)
from batchgen.export.metadata import METADATA_NAME, metadata_line, sidecar_text
from batchgen.export.placing import Outcome, Placer
from batchgen.export.scratch import FORMER, LEFT, PRESENT, Scratch, Wanted, scratch
from batchgen.export.state import STATE_NAME, Exported, Header, state_line, write_state
from batchgen.export.values import ExportOptions, ExportResult
from batchgen.journal import FILE_NAME, is_simulated, open_for_reading, sqlite_errors
from batchgen.journal.queries.export_rows import path_of, run_identity
from batchgen.journal.queries.report_rows import facts_of
from batchgen.store import store_of

Watch = Callable[[Iterable[tuple[str, Wanted]], int], Iterable[tuple[str, Wanted]]]
"""Hands the outputs on, of which there are so many, and may show how far it has come."""
Tell = Callable[[str], None]
_ALL = (FORMER, PRESENT, LEFT)


def export_run(
    run: Path,
    folder: Path,
    options: ExportOptions,
    *,
    tell: Tell,
    watch: Watch = lambda outputs, _: outputs,
) -> ExportResult:
    """Bring the outputs of a run folder into `folder`, also while the run goes on.

    `tell` is called with each file that is not as it should be. Raises UsageError where `folder` cannot be exported
    to or nothing is selected, RunFolderError, DiskError.
    """
    path = run / FILE_NAME
    with scratch() as work:
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            facts = facts_of(db)
            result = ExportResult(facts.get("run", run.name), is_simulated(facts), folder)
            header, files = opened(folder, run, Header(result.run, run_identity(db)))
            if options.archive:
                check_archive(folder, header)
            work.remember(files)
            lacking = collect(db, run, options, work, result)
        with owned(folder, header) as destination:
            placer = Placer(run, store_of(run, facts), destination, mark=options.mark, prompts=options.prompts)
            export = _Export(placer, work, result, tell)
            for message in lacking:
                export.problem(message)
            export.write(options, watch)
            export.remove_former(run, destination)
            write_state(folder, header, work.files(*_ALL))
            if options.archive:
                result.archive = archive_of(folder)
                _write_archive(result.archive, header, work, folder)
    return result


def _write_archive(archive: Path, header: Header, work: Scratch, folder: Path) -> None:
    before = stat_of(archive)
    former = "" if before is None else archive_mark(before)

    def announce(made: os.stat_result) -> None:
        # Before it has its name, so that after a crash the next export knows both.
        archives = f"{former} {archive_mark(made)}".strip()
        write_state(folder, replace(header, archives=archives), work.files(*_ALL))

    write_archive(folder, (file.name for file in work.files(PRESENT)), archive, announce)


class _Export:
    """One export while it is written."""

    def __init__(self, placer: Placer, work: Scratch, result: ExportResult, tell: Tell) -> None:
        self._placer = placer
        self._work = work
        self._result = result
        self._tell = tell

    def problem(self, message: str) -> None:
        self._result.problems += 1
        self._tell(message)

    def write(self, options: ExportOptions, watch: Watch) -> None:
        """Place the outputs with their metadata, and the cost sheets. Raises DiskError."""
        state = self._result.folder / STATE_NAME
        with disk_errors(state), state.open("a", encoding="utf-8") as log:
            outputs = watch(self._work.wanted(), self._work.count())
            for folder, group in groupby(outputs, lambda output: output[0]):
                self._write_folder(folder, (wanted for _, wanted in group), options, log)
            if options.costs:
                self._write_costs(log)

    def _write_folder(self, folder: str, outputs: Iterable[Wanted], options: ExportOptions, log: IO[str]) -> None:
        def rows(out: IO[str]) -> None:
            for wanted in outputs:
                file = self._place(wanted, log)
                if file is not None:
                    below = wanted.name.partition("/")[2]
                    metadata = wanted.metadata | {"file_name": below, "sha256": file.sha256}
                    out.write(metadata_line(metadata))
                    if options.sidecars:
                        self._write_text(f"{wanted.name}.json", _writer(sidecar_text(metadata)), log)

        self._write_text(f"{folder}/{METADATA_NAME}", rows, log)

    def _place(self, wanted: Wanted, log: IO[str]) -> Exported | None:
        """Place an output; return None where that is not possible."""
        try:
            file, outcome = self._placer.place(wanted, self._work.known(wanted.name))
        except Obstacle as obstacle:
            self.problem(f"{wanted.name}: {obstacle}")
            self._work.keep(wanted.name)
            return None
        self._settle(file, outcome, log)
        self._result.count(file, outcome)
        return file

    def _write_costs(self, log: IO[str]) -> None:
        def sheet(out: IO[str]) -> None:
            self._result.net = write_sheet(out, self._work)

        self._write_text(SHEET_NAME, sheet, log)
        self._write_text(SUMS_NAME, lambda out: write_sums(out, self._work), log)

    def _write_text(self, name: str, write: Callable[[IO[str]], object], log: IO[str]) -> None:
        try:
            file, outcome = self._placer.text(name, write, self._work.known(name))
        except Obstacle as obstacle:
            self.problem(f"{name}: {obstacle}")
            self._work.keep(name)
        else:
            self._settle(file, outcome, log)

    def _settle(self, file: Exported, outcome: Outcome, log: IO[str]) -> None:
        self._work.settle(file)
        if outcome is not Outcome.UNCHANGED:
            log.write(state_line(file))
            log.flush()  # after a crash, the next export knows what this one wrote

    def remove_former(self, run: Path, destination: Destination) -> None:
        """Remove what is not wanted any more of an earlier export, unless it was changed, or is the only copy."""
        path = run / FILE_NAME
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            for file in self._work.files(FORMER):
                bought = path_of(db, file.purchase, file.number) if file.purchase else None
                only_copy = bool(file.purchase) and (bought is None or stat_of(run / bought) is None)
                try:
                    self._result.removed += _remove(file, destination, only_copy=only_copy)
                    self._work.drop(file.name)
                except Obstacle as obstacle:
                    self.problem(f"{file.name}: is not wanted any more, and {obstacle}; it is left there")


def _remove(file: Exported, destination: Destination, *, only_copy: bool) -> bool:
    """Remove a file of an earlier export; return whether it was there. Raises Obstacle, DiskError."""
    target = destination.path(file.name)
    here = stat_of(target)
    if here is None:
        return False
    if not is_untouched(target, here, file):
        raise Obstacle("was changed since it was exported")
    if only_copy:
        raise Obstacle("the run folder has it no longer")
    destination.remove(file.name)
    return True


def _writer(text: str) -> Callable[[IO[str]], object]:
    return lambda out: out.write(text)
