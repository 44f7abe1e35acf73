"""From a manifest to a plan: nothing here writes to a run folder."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.core.text import dollars
from batchgen.item_table import chains, estimated_cost, index_items, others_have, sharding
from batchgen.journal import FILE_NAME, Journal, is_embedded
from batchgen.journal.merging.marks import refuse_closed
from batchgen.journal.queries.comparison import Buying, Comparison, compare
from batchgen.manifest import Manifest, assign_shards, load_manifest, take_picks
from batchgen.plan import Plan, PlanRow, Selection, make_plan, plan_row
from batchgen.session.file_moves import finish_moves
from batchgen.session.locate import is_run, remote_outputs, run_folder, simulated_name
from batchgen.session.outputs.file_systems import refuse_network_file_system
from batchgen.session.picking import kept_outputs
from batchgen.session.request import RunRequest
from batchgen.settings import BY_NAME, RUN_NAME, Settings, resolve_settings
from batchgen.shards import Shard, shard_number, share_of
from batchgen.store import Address, store_of

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
    """Those in force; of a shard, its share of them."""
    whole: Settings
    """Those of all shards together; the same for a run that is not divided."""
    selection: Selection
    skipped_as_bought: int
    notes: tuple[str, ...] = ()
    """What is to be told before anything is bought."""
    outputs: Address | None = None
    """Where the outputs go in an object store; None: into the folder."""

    def plan(self) -> Plan:
        """Return how the manifest stands against its run folder.

        Raises RunFolderError, and UsageError where `--only` or `--again` fits nothing: a typo is no finished night.
        """
        request = self.request
        refuse_closed(self.folder)  # a run refuses it too, once it owns the folder
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
        if request.only and not plan.items and not others_have(self.item_table, self.selection.wanted):
            raise UsageError(f"--only {' '.join(request.only)}: no item of {request.manifest} matches")
        if request.again.globs and not plan.again and request.shard is None:
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
        finish_moves(store_of(prepared.folder, journal.facts()), journal)
    return adopted


def _locked(
    manifest: Manifest, table: Path, request: RunRequest, settings: Settings
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings, capped at the lock's total, and what is to be told of it.

    Raises UsageError where the manifest differs from its lock.
    """
    from batchgen.lock import check_lock, lock_of, lock_path, read_lock  # few runs have one

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


def _take_picks(table: Path, manifest: Manifest, folder: Path) -> None:
    """Give chained items the outputs that were picked.

    Raises ManifestError where several outputs were kept and one is needed.
    """
    with chains(table) as found:
        picked = found.has_picks()
    if picked:
        take_picks(table, manifest.source, kept_outputs(folder))


def _skip_bought(table: Path, request: RunRequest, manifest: Manifest) -> int:
    if not request.skip_bought and not manifest.bought:
        return 0
    from batchgen.session.checks.bought import skip_bought  # with what reads ledgers

    return skip_bought(table, request.skip_bought, manifest.bought, simulated=request.simulate)


def _with_sources(table: Path, selection: Selection) -> Selection:
    with chains(table) as found:
        return replace(selection, sources=found.sources_of(selection.wanted))


def _shares(table: Path, whole: Settings, shard: Shard, *, by_lock: bool) -> Settings:
    """Return a shard's settings. Where the lock's total is the cap, its share is what its own items cost."""
    settings = share_of(whole, shard)
    return replace(settings, max_cost=estimated_cost(table)) if by_lock else settings


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
        whole = asked = resolve_settings(request.flags or {}, request.environment, manifest.settings)
        notes: tuple[str, ...] = ()
        if request.locked:
            whole, notes = _locked(manifest, table, request, asked)
        name = _run_name(request, manifest)
        folder, outputs = _places(request, name)
        settings, shard = whole, request.shard
        if manifest.references:
            _take_picks(table, manifest, folder)
        if shard is not None:
            number_of = partial(shard_number, count=shard.count)
            assign_shards(table, manifest.source, number_of)
        # One purchase elsewhere stands for one item, whichever shard that is in: so the whole run is compared.
        skipped = _skip_bought(table, request, manifest)
        if shard is not None:
            with sharding(table, number_of) as found:
                skipped = found.keep(shard.index)
            settings = _shares(table, whole, shard, by_lock=whole.max_cost != asked.max_cost)
        if manifest.references:
            selection = _with_sources(table, selection)
        index_items(table)
        yield PreparedRun(request, manifest, table, name, folder, settings, whole, selection, skipped, notes, outputs)


def _places(request: RunRequest, name: str) -> tuple[Path, Address | None]:
    """Return the run folder, and where its outputs go in an object store, if they do. Raises UsageError."""
    folder = run_folder(request.manifest, name, request.output, request.environment, request.state)
    place = remote_outputs(request.output, request.environment)
    if place is not None or not is_run(folder):  # one that is there goes on, where its owner has had it so far
        refuse_network_file_system(folder)
    return folder, None if place is None else place.below(name)


def _run_name(request: RunRequest, manifest: Manifest) -> str:
    """Return the name of the run folder. A shard's names its place, so that shards lie beside each other."""
    name = request.name or manifest.name
    if request.shard is not None:
        name = request.shard.run_name(name)
    return simulated_name(name) if request.simulate and request.name is None else name
