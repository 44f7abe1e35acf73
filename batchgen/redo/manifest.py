"""Chooses what is to be redone, and writes the manifest that buys it once more."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from batchgen.catalog import Catalog
from batchgen.core.errors import UsageError
from batchgen.core.text import plural, printable
from batchgen.item_table.pictures import pictures_in
from batchgen.journal.queries.redo_rows import Chosen, RedoRow, flagged_items
from batchgen.journal.queries.report_rows import facts_of, pickable_outputs
from batchgen.manifest.entry.entry_spec import OWN
from batchgen.picks import Pick, picked_outputs, read_picks
from batchgen.plan.selection import Selection
from batchgen.redo.naming import new_ids, new_seed, redo_name, redo_number
from batchgen.redo.paths import PathGuess

_NAMED = 20
"""As many items as a message names."""
_VARIABLE = re.compile(r"\$\{[^{}]*\}")
_PLAIN_KEY = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Redo:
    """What is to be redone of one run."""

    run: str
    name: str
    """Of the manifest that buys it once more."""
    number: int
    chosen: Chosen
    along: int
    """How many of the items only come along, since others need their outputs."""


@dataclass(slots=True)
class Remarks:
    """What a person should know of a manifest that was written."""

    items: int = 0
    same_request: Counter[str] = field(default_factory=Counter)
    """By model without a seed, how many items are the same request as before."""
    path_lost: bool = False
    """Whether no `run.path` makes the paths that the items had."""


def choose(
    folder: Path,
    db: sqlite3.Connection,
    selection: Selection,
    *,
    rejected: bool,
    flagged: bool,
    with_sources: bool = False,
) -> Redo:
    """Choose items of a run, whose journal `db` is open for reading; an item of which an output was kept is not chosen.

    `rejected`: an output was rejected. `flagged`: a file was flagged. `with_sources`: the items whose outputs they need
    come along. Raises UsageError where there is nothing to redo, or an item cannot be written down; RunFolderError.
    """
    run = facts_of(db).get("run", folder.name)
    chosen, picks = Chosen(db), read_picks(folder)
    kept = {(p.item, p.digest) for p in _counting(db, picks) if p.pick == "keep"}
    for item_id, digest in _found(db, picks, rejected=rejected, flagged=flagged):
        if (item_id, digest) not in kept:
            chosen.add(item_id, digest, wanted=selection.wanted)
    if not chosen.count:
        what = " or ".join(word for word, asked in (("rejected", rejected), ("flagged", flagged)) if asked)
        raise UsageError(f"nothing to redo in {printable(run, 64)}: no selected item was {what} without a kept output")
    along = chosen.add_sources() if with_sources else 0
    _refuse(chosen)
    base, number = redo_number(run, _beside(folder))
    chosen.name(lambda item_id: new_ids(item_id, run, number))
    return Redo(run, redo_name(base, number), number, chosen, along)


def _counting(db: sqlite3.Connection, picks: Mapping[tuple[str, str, int], Pick]) -> Iterator[Pick]:
    """Yield the picks that are about the files there are."""
    return (output.pick for output in picked_outputs(pickable_outputs(db), picks) if output.pick is not None)


def _found(
    db: sqlite3.Connection, picks: Mapping[tuple[str, str, int], Pick], *, rejected: bool, flagged: bool
) -> Iterator[tuple[str, str]]:
    if rejected:
        # Outputs come item by item.
        for item, of_item in groupby(_counting(db, picks), lambda pick: (pick.item, pick.digest)):
            if any(pick.pick == "reject" for pick in of_item):
                yield item
    if flagged:
        yield from flagged_items(db)


def _refuse(chosen: Chosen) -> None:
    """Raise UsageError for items that cannot be written down."""
    if lacking := list(islice(chosen.without_request(), _NAMED)):
        raise UsageError(
            f"the requests of these items are not known, only their purchases: {', '.join(lacking)}; run their manifest"
            " once (which buys nothing that is bought), or leave them out with --only"
        )
    if pictured := list(islice((row.item_id for row in chosen.rows() if pictures_in(row.body)), _NAMED)):
        raise UsageError(
            f"these items were made from local pictures, whose paths only their manifest has: {', '.join(pictured)};"
            " buy them once more with `batchgen run MANIFEST --again`, or leave them out with --only"
        )
    if needing := [f"{item} needs {source}" for item, source in islice(chosen.needing_others(), _NAMED)]:
        raise UsageError(
            "an output of another run cannot be an input, and these items need outputs of items that are not redone:"
            f" {'; '.join(needing)}. --with-sources buys those once more, too; --only leaves items out"
        )


def _beside(folder: Path) -> list[str]:
    try:
        return [other.name for other in folder.resolve().parent.iterdir()]
    except OSError:
        return []


# ---- writing ------------------------------------------------------------------------------------------------------


def write_manifest(redo: Redo, catalog: Catalog, write: Callable[[str], object]) -> Remarks:
    """Give the manifest of a redo to `write`, item by item, and return what a person should know of it."""
    remarks, guess = Remarks(), PathGuess()
    for row in redo.chosen.rows():
        guess.take(row.item_id, row.model, json.loads(row.tags), row.path)
    remarks.path_lost = guess.text is None
    description = f"Redo of {redo.run}: {plural(redo.chosen.count, 'item')}"
    write(f"version: 1\nname: {redo.name}\ndescription: {_value(description)}\n")
    write(f"run:\n  path: {_value(guess.text)}\n" if guess.text else "")
    write("items:\n")
    for row in redo.chosen.rows():
        remarks.items += 1
        lines = "".join(f"    {_key(key)}: {_value(value)}\n" for key, value in _entry(row, redo, catalog, remarks))
        write(f"  - {lines[4:]}")
    return remarks


def _entry(row: RedoRow, redo: Redo, catalog: Catalog, remarks: Remarks) -> Iterator[tuple[str, Any]]:
    body = _escaped(json.loads(row.body))
    model = catalog.model(row.model)
    parameter = None if model is None else model.seed
    seed = body.get("seed")
    if row.wanted and type(seed) is int and (parameter is None or seed != parameter.random):
        body["seed"] = new_seed(seed, redo.number, parameter)
    elif row.wanted and model is not None and parameter is None:
        remarks.same_request[row.model] += 1
    for place, item_id, output in json.loads(row.inputs):
        name, _, index = place.partition("/")
        reference = f"${{items.{redo.chosen.new_id(item_id)}.{'picked' if output == 0 else f'output.{output}'}}}"
        if index:
            body[name][int(index)] = reference
        else:
            body[name] = reference
    yield "id", row.new_id
    yield "redo_of", {"run": redo.run, "item": row.item_id}
    yield "model", row.model
    body.pop("model", None)
    yield from ((name, value) for name, value in body.items() if name not in OWN)
    if apart := {name: value for name, value in body.items() if name in OWN}:
        yield "params", apart
    if tags := json.loads(row.tags):
        yield "tags", _escaped(tags)
    if row.expect is not None:
        yield "expect", json.loads(row.expect)


def _escaped(value: Any) -> Any:
    """Return a value with what would be a variable in a manifest written so that it stands for itself."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: f"${found[0]}", value)
    if isinstance(value, list):
        return [_escaped(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _escaped(entry) for name, entry in value.items()}
    return value


def _key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else json.dumps(name)


def _value(value: Any) -> str:
    """Return a value as JSON, which is YAML, on one line; what a text editor or YAML would not keep is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
