"""From a manifest to a plan: nothing here writes to a run folder."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.core.text import dollars
from batchgen.item_table import chains, index_items
from batchgen.journal import FILE_NAME, Journal, is_embedded
from batchgen.journal.queries.comparison import Buying, Comparison, compare
from batchgen.lock import check_lock, lock_of, lock_path, read_lock
from batchgen.manifest import Manifest, load_manifest, take_picks
from batchgen.plan import Plan, PlanRow, Selection, make_plan, plan_row
from batchgen.session.checks.bought import skip_bought
from batchgen.session.file_moves import finish_moves
from batchgen.session.locate import run_folder, simulated_name
from batchgen.session.picking import kept_outputs
from batchgen.session.request import RunRequest
from batchgen.settings import BY_NAME, RUN_NAME, Settings, resolve_settings
from batchgen.store import LocalDisk

_DRIFTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A manifest that was read, checked and expanded into an item table, with the settings in force."""

    request: RunRequest
    manifest: Manifest
    item_table: Path
    name: str
    folder: Path
    settings: Settings
    selection: Selection
    skipped_as_bought: int
    notes: tuple[str, ...] = ()
    """What is to be told before anything is bought."""

    def plan(self) -> Plan:
        """Return how the manifest stands against its run folder.

        Raises RunFolderError, and UsageError where `--only` or `--again` fits nothing: a typo is no finished night.
        """
        request = self.request
        with self._compared() as comparison:
            groups = comparison.groups()
            plan = make_plan(
                self.name,
                groups,
                comparison.tags() if any(group.buys for group in groups) else (),
                unlisted=comparison.unlisted(),
                stale=comparison.stale(),
                sources=len(self.selection.sources),
                renamed=comparison.renames(),
                simulated=comparison.simulated(),
            )
        if request.only and not plan.items:
            raise UsageError(f"--only {' '.join(request.only)}: no item of {request.manifest} matches")
        if request.again.globs and not plan.again:
            raise UsageError(f"--again {' '.join(request.again.globs)}: no finished item matches")
        return plan

    def rows(self) -> Iterator[PlanRow]:
        """Yield each selected item as it would be sent, in the order of the manifest and in bounded memory."""
        with self._compared() as comparison:
            yield from map(plan_row, comparison.items())

    def edited_ids(self, most: int) -> list[str]:
        """Return the first ids that were bought before with another request."""
        with self._compared() as comparison:
            return comparison.edited_ids(most)

    def _compared(self) -> AbstractContextManager[Comparison]:
        request = self.request
        return compare(
            self.item_table,
            self.folder / FILE_NAME,
            self.selection.wanted,
            Buying(request.retry, request.again, request.retry_sources),
            with_renames=request.renamed != "buy",
        )


def adopt(prepared: PreparedRun, journal: Journal) -> int:
    """Give purchases to the items that ask for them under another id, and their files the new names.

    Returns how many items that were; none where it is pretend money. Raises DiskError.
    """
    adopted = 0 if is_embedded(journal.facts()) else journal.apply_renames(prepared.item_table)
    if adopted:
        finish_moves(LocalDisk(prepared.folder), journal)
    return adopted


def _locked(
    manifest: Manifest, table: Path, request: RunRequest, settings: Settings
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings, capped at the lock's total, and what is to be told of it.

    Raises UsageError where the manifest differs from its lock.
    """
    path = lock_path(request.manifest)
    check = check_lock(read_lock(path), lock_of(manifest, table, request.catalog))
    if check.drifts:
        shown = "; ".join(f"{drift.what}: {drift.message}" for drift in check.drifts[:_DRIFTS_SHOWN])
        more = len(check.drifts) - _DRIFTS_SHOWN
        raise UsageError(
            f"the manifest has drifted from {path}: {shown}{f'; and {more:,} more' if more > 0 else ''}"
            f" ({dollars(check.locked_usd)} → {dollars(check.current_usd)}); `batchgen lock` writes a new lock"
        )
    total = check.locked_usd
    if total is None:
        raise UsageError(f"{path} has items with an unknown price, so its total cannot be a cap")
    if settings.max_cost is not None and settings.max_cost < total:
        told = f"the cap is max_cost, {dollars(settings.max_cost)}: lower than the total of {path}, {dollars(total)}"
        return settings, (told, *check.notes)
    told = f"the cap is the total of {path}, {dollars(total)}"
    return replace(settings, max_cost=total), (told, *check.notes)


def _with_chains(table: Path, manifest: Manifest, folder: Path, selection: Selection) -> Selection:
    """Give chained items the outputs that were picked, and return the selection with the sources that it needs.

    Raises ManifestError where several outputs were kept and one is needed.
    """
    with chains(table) as found:
        picked, sources = found.has_picks(), found.sources_of(selection.wanted)
    if picked:
        take_picks(table, manifest.source, kept_outputs(folder))
    return replace(selection, sources=sources)


@contextmanager
def prepare(request: RunRequest) -> Iterator[PreparedRun]:
    """Read and check a manifest, and expand it into an item table in a scratch folder that lasts as long as the block.

    Raises ManifestError with every problem, UsageError, DiskError.
    """
    selection = Selection.parse(request.only)
    if request.name is not None and not RUN_NAME.fullmatch(request.name):
        raise UsageError(
            f"--run {request.name!r}: a run's name must have at most 64 characters of a-z, 0-9, '.', '_' and '-'"
        )
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        table = Path(scratch) / "items.sqlite3"
        template = request.environment.get(BY_NAME["path"].variable) or None
        manifest = load_manifest(
            request.manifest, table, request.catalog, path_template=template, strict=request.strict
        )
        settings = resolve_settings(request.flags or {}, request.environment, manifest.settings)
        notes: tuple[str, ...] = ()
        if request.locked:
            settings, notes = _locked(manifest, table, request, settings)
        name = request.name or (simulated_name(manifest.name) if request.simulate else manifest.name)
        folder = run_folder(request.manifest, name, request.output, request.environment)
        if manifest.references:
            selection = _with_chains(table, manifest, folder, selection)
        index_items(table)
        skipped = skip_bought(table, request.skip_bought, manifest.bought, simulated=request.simulate)
        yield PreparedRun(request, manifest, table, name, folder, settings, selection, skipped, notes)
