"""Lock files: what a manifest makes and what it costs, written down so that a later run buys exactly that.

Comments, formatting and the order of entries are no drift; an item, a price or a request is.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from batchgen.catalog import Catalog, Model
from batchgen.core.errors import UsageError
from batchgen.core.files import staged_text
from batchgen.core.text import plural, printable, usd
from batchgen.item_table import entry_sums
from batchgen.manifest import Manifest, named_files

FORMAT_VERSION = 1
LOCK_SUFFIX = ".lock.json"
_LARGEST = 1 << 30
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Drift:
    """Something in which a manifest differs from its lock."""

    what: str
    """`name`, `entry NAME`, `prices of MODEL`, `total`."""
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """A manifest beside its lock."""

    drifts: tuple[Drift, ...]
    notes: tuple[str, ...]
    """What differs and changes nothing that is bought."""
    locked_usd: Decimal | None
    """None: unknown."""
    current_usd: Decimal | None


def lock_path(manifest: Path) -> Path:
    """Return where the lock of a manifest lies."""
    return manifest.with_name(f"{manifest.name}{LOCK_SUFFIX}")


def lock_of(manifest: Manifest, table: Path, catalog: Catalog) -> dict[str, Any]:
    """Return the lock of a manifest, whose items are in a complete item table."""
    entries: dict[str, Any] = {}
    items, total, unknown = 0, Decimal(0), 0
    models: set[str] = set()
    for key, entry in entry_sums(table).items():
        entries[key] = {
            "items": entry.items,
            "digest": entry.digest,
            "estimated_usd": None if entry.unknown else usd(entry.estimated),
        }
        items, total, unknown = items + entry.items, total + entry.estimated, unknown + entry.unknown
        models |= entry.models.keys()
    return {
        "format_version": FORMAT_VERSION,
        "name": manifest.name,
        "catalog_version": catalog.version,
        "prices": {model: _price(catalog.models[model]) for model in sorted(models)},
        "files": dict(sorted(_hashes(manifest))),
        "entries": entries,
        "total": {"items": items, "estimated_usd": None if unknown else usd(total)},
    }


def write_lock(path: Path, lock: Mapping[str, Any]) -> None:
    """Write a lock: staged, then renamed. Raises DiskError."""
    with staged_text(path) as out:
        json.dump(lock, out, indent=2, ensure_ascii=False)
        out.write("\n")


def read_lock(path: Path) -> dict[str, Any]:
    """Return the lock in a file. Raises UsageError if there is none, or if it is not one."""
    try:
        with path.open("rb") as file:
            lock: Any = json.loads(file.read(_LARGEST))
    except FileNotFoundError as error:
        raise UsageError(f"there is no lock {path}; `batchgen lock` writes it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the lock {path}: {getattr(error, 'strerror', None) or 'not JSON'}") from error
    if not isinstance(lock, dict) or lock.get("format_version") != FORMAT_VERSION or not _is_whole(lock):
        raise UsageError(f"{path} is not a lock of this version; `batchgen lock` writes a new one")
    return lock


def _is_whole(lock: Mapping[str, Any]) -> bool:
    parts = [lock.get(name) for name in ("prices", "files", "entries", "total")]
    if not all(isinstance(part, dict) for part in parts):
        return False
    entries = [*lock["entries"].values(), lock["total"]]
    return all(isinstance(entry, dict) and type(entry.get("items")) is int and _is_amount(entry) for entry in entries)


def _is_amount(entry: Mapping[str, Any]) -> bool:
    amount = entry.get("estimated_usd")
    try:
        return amount is None or (isinstance(amount, str) and Decimal(amount).is_finite())
    except InvalidOperation:
        return False


def check_lock(locked: Mapping[str, Any], current: Mapping[str, Any]) -> Check:
    """Compare a lock with what the manifest would be locked as now."""
    notes = []
    if locked.get("catalog_version") != current["catalog_version"]:
        notes.append(
            f"the catalogue is {printable(str(current['catalog_version']), 60)}, and was"
            f" {printable(str(locked.get('catalog_version')), 60)}"
        )
    changed = [name for name in current["files"] if locked["files"].get(name) != current["files"][name]]
    notes += [f"{printable(name, 200)} has changed" for name in changed]
    notes += [f"{printable(name, 200)} is no longer used" for name in locked["files"].keys() - current["files"].keys()]
    return Check(
        (
            *_name_drifts(locked.get("name"), current["name"]),
            *_price_drifts(locked["prices"], current["prices"]),
            *_entry_drifts(locked["entries"], current["entries"]),
            *_total_drifts(locked, current),
        ),
        tuple(notes),
        _amount(locked["total"]),
        _amount(current["total"]),
    )


def _name_drifts(locked: Any, current: str) -> Iterator[Drift]:
    if locked != current:
        # The name is that of the run folder, and in a new one everything is bought.
        yield Drift("name", f"{printable(str(locked), 100)} → {current}")


def _total_drifts(locked: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Drift]:
    """Yield whether the total, which caps a run, is not that of the lock's own entries: after a merge, or by hand."""
    if locked["entries"] == current["entries"] and locked["total"] != current["total"]:
        yield Drift("total", f"{_size(locked['total'])}, but the entries of the lock make {_size(current['total'])}")


def _price_drifts(locked: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Drift]:
    for model in sorted(locked.keys() & current.keys()):
        if locked[model] != current[model]:
            yield Drift(f"prices of {model}", f"{_brief(locked[model])} → {_brief(current[model])}")


def _entry_drifts(locked: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Drift]:
    for key in sorted(locked.keys() | current.keys()):
        before, after = locked.get(key), current.get(key)
        name = f"entry {printable(key, 100)}"
        if before is None:
            yield Drift(name, f"is new: {_size(after)}")
        elif after is None:
            yield Drift(name, f"is gone: {_size(before)}")
        elif (before["items"], before["estimated_usd"]) != (after["items"], after["estimated_usd"]):
            yield Drift(name, f"{_size(before)} → {_size(after)}")
        elif before.get("digest") != after["digest"]:
            yield Drift(name, f"{_size(after)}, and requests or ids have changed")


def _size(entry: Any) -> str:
    amount = _amount(entry)
    return f"{plural(entry['items'], 'item')} for {'an unknown price' if amount is None else f'${usd(amount)}'}"


def _amount(entry: Mapping[str, Any]) -> Decimal | None:
    text = entry["estimated_usd"]
    return None if text is None else Decimal(text)


def _brief(price: Any) -> str:
    return printable(json.dumps(price, ensure_ascii=False), 200)


def _price(model: Model) -> dict[str, Any] | None:
    price = model.price
    if price is None:
        return None
    amounts = {" ".join(map(str, key)) or "each": usd(amount) for key, amount in price.amounts.items()}
    return {"unit": price.unit, "by": list(price.by), "times": price.times, "usd": dict(sorted(amounts.items()))}


def _hashes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield each rows file and included file, relative to the manifest, with its SHA-256."""
    folder = manifest.source.parent
    rows = [folder / name for name in named_files(manifest.source).rows]
    for path in dict.fromkeys([*rows, *manifest.included]):
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
        try:
            with path.open("rb") as file:
                yield name, hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
