"""`batchgen lock`."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import catalog_option

if TYPE_CHECKING:
    from batchgen.catalog import Catalog
    from batchgen.lock import Check


@click.command("lock")
@click.argument("manifests", nargs=-1, metavar="MANIFEST...", type=click.Path(path_type=Path))
@catalog_option
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a manifest differs from its lock.")
@click.option("--json", "as_json", is_flag=True, help="Print what --check finds as JSON.")
def command(manifests: tuple[Path, ...], catalog: Path | None, *, check: bool, as_json: bool) -> int:
    """Write down what a manifest makes and what it costs, as MANIFEST.lock.json.

    Check the file in beside the manifest: `run --locked` then refuses a manifest that has drifted from it, and spends
    no more than the lock says. Comments, formatting and the order of entries are no drift. With --check and no
    MANIFEST, all that are locked below the working folder are checked.
    """
    from batchgen.catalog import load_catalog
    from batchgen.core.errors import UsageError

    if as_json and not check:
        raise UsageError("--json needs --check")
    if not manifests and not check:
        raise UsageError("which manifest? Give its path")
    tables = load_catalog(catalog)
    if not check:
        for manifest in manifests:
            click.echo(_written(manifest, tables))
        return 0
    found = _checked(manifests or _locked_below(Path()), tables)
    click.echo(json.dumps(_as_json(found), indent=2) if as_json else _as_text(found))
    return 1 if any(result.drifts for _, result in found) else 0


def _locked_below(folder: Path) -> Sequence[Path]:
    """Return the manifests below a folder that have a lock; hidden folders are left out, and those of packages."""
    from batchgen.lock import LOCK_SUFFIX

    found: list[Path] = []
    for below, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        locked = (name.removesuffix(LOCK_SUFFIX) for name in files if name.endswith(LOCK_SUFFIX))
        found += (Path(below, name) for name in locked if name.endswith((".yaml", ".yml")))
    return sorted(found)


def _written(manifest: Path, tables: "Catalog") -> str:
    """Write the lock of a manifest, and return what there is to say of it."""
    from batchgen.core.text import plural
    from batchgen.lock import lock_path, write_lock

    path = lock_path(manifest)
    current = _current(manifest, tables)
    write_lock(path, current)
    total = current["total"]
    price = "an unknown price" if total["estimated_usd"] is None else f"${total['estimated_usd']}"
    return f"{path}: {plural(total['items'], 'item')} for {price}"


def _checked(manifests: Sequence[Path], tables: "Catalog") -> list[tuple[Path, "Check"]]:
    from batchgen.lock import check_lock, lock_path, read_lock

    return [(path, check_lock(read_lock(lock_path(path)), _current(path, tables))) for path in manifests]


def _current(manifest: Path, tables: "Catalog") -> dict[str, Any]:
    """Return the lock that a manifest would have now."""
    from batchgen.lock import lock_of
    from batchgen.manifest import load_manifest

    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        table = Path(scratch) / "items.sqlite3"
        return lock_of(load_manifest(manifest, table, tables), table, tables)


def _as_json(found: Sequence[tuple[Path, "Check"]]) -> dict[str, object]:
    return {"format_version": 1, "manifests": [_one_as_json(path, result) for path, result in found]}


def _one_as_json(manifest: Path, check: "Check") -> dict[str, object]:
    from batchgen.core.text import usd

    amounts = [None if amount is None else usd(amount) for amount in (check.locked_usd, check.current_usd)]
    return {
        "manifest": str(manifest),
        "drifts": [{"what": drift.what, "message": drift.message} for drift in check.drifts],
        "notes": list(check.notes),
        "locked_usd": amounts[0],
        "current_usd": amounts[1],
    }


def _as_text(found: Sequence[tuple[Path, "Check"]]) -> str:
    if not found:
        return "nothing below this folder is locked"
    return "\n".join(line for path, result in found for line in _lines(path, result))


def _lines(manifest: Path, check: "Check") -> Iterator[str]:
    from batchgen.core.text import dollars
    from batchgen.lock import lock_path

    for drift in check.drifts:
        yield f"{drift.what}: {drift.message}"
    for note in check.notes:
        yield f"note: {note}"
    if check.drifts:
        yield f"{manifest} has drifted from its lock: {dollars(check.locked_usd)} → {dollars(check.current_usd)}"
    else:
        yield f"{manifest} is as {lock_path(manifest)} says: {dollars(check.current_usd)}"
