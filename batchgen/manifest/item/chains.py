"""Chains of items in a manifest: their faults, each where the reference is written."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from batchgen.catalog import Catalog, nearest, outputs_of
from batchgen.item_table import ChainFault, Chains, KeptOutputs, NumberOf, OutputCount, chains, nothing_kept, sharding
from batchgen.manifest.yaml.problems import Problems


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    column: int


def note_chain_faults(found: Chains, catalog: Catalog, manifest: Path, problems: Problems) -> None:
    """Note what is wrong with the references of a manifest; without any problem, chained items get their digests."""
    _note(found.link(nearest), manifest, problems)
    _note(found.wrong_outputs(_pictures_of(catalog)), manifest, problems)
    # A circle is to be told beside other problems; the digests are of no use then.
    _note(found.digest(nothing_kept), manifest, problems)


def take_picks(database: Path, manifest: Path, kept: KeptOutputs) -> None:
    """Give items that wait for a person's choice the output that was kept, in a complete item table.

    Raises ManifestError where several outputs were kept and one is needed.
    """
    problems = Problems(manifest)
    with chains(database) as found:
        _note(found.digest(kept), manifest, problems)
        if len(problems):
            raise problems.error()


def assign_shards(database: Path, manifest: Path, number_of: NumberOf) -> None:
    """Find out, in a complete item table, which shard each item belongs to; `number_of` says so of an id.

    Raises ManifestError where an item needs outputs from different shards.
    """
    problems = Problems(manifest)
    with sharding(database, number_of) as found:
        _note(found.assign(), manifest, problems)
        if len(problems):
            raise problems.error()


def _note(faults: Iterable[ChainFault], manifest: Path, problems: Problems) -> None:
    for fault in faults:
        if fault.place is not None:
            problems.at(_Place(*fault.place), fault.message)
        else:
            file, _, line = fault.source.rpartition(":")
            problems.in_file(str(manifest.parent / file), int(line), fault.message)


def _pictures_of(catalog: Catalog) -> OutputCount:
    def pictures(model_id: str, body: str) -> int:
        model = catalog.model(model_id)
        return outputs_of(model, json.loads(body)) if model is not None and model.output == "image" else 0

    return pictures
