"""`batchgen lock`."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.options import catalog_option

if TYPE_CHECKING:
    from batchgen.lock import Check


@click.command("lock")
@click.argument("manifest", type=click.Path(path_type=Path))
@catalog_option
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the manifest differs from its lock.")
@click.option("--json", "as_json", is_flag=True, help="Print what --check finds as JSON.")
def command(manifest: Path, catalog: Path | None, *, check: bool, as_json: bool) -> int:
    """Write down what a manifest makes and what it costs, as MANIFEST.lock.json.

    Check the file in beside the manifest: `run --locked` then refuses a manifest that has drifted from it, and spends
    no more than the lock says. Comments, formatting and the order of entries are no drift.
    """
    from batchgen.catalog import load_catalog
    from batchgen.core.errors import UsageError
    from batchgen.core.text import plural
    from batchgen.lock import check_lock, lock_of, lock_path, read_lock, write_lock
    from batchgen.manifest import load_manifest

    if as_json and not check:
        raise UsageError("--json needs --check")
    tables, path = load_catalog(catalog), lock_path(manifest)
    locked = read_lock(path) if check else None
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        table = Path(scratch) / "items.sqlite3"
        current = lock_of(load_manifest(manifest, table, tables), table, tables)
    if locked is None:
        write_lock(path, current)
        total = current["total"]
        price = "an unknown price" if total["estimated_usd"] is None else f"${total['estimated_usd']}"
        click.echo(f"{path}: {plural(total['items'], 'item')} for {price}")
        return 0
    found = check_lock(locked, current)
    click.echo(json.dumps(_as_json(found), indent=2) if as_json else _as_text(found, path))
    return 1 if found.drifts else 0


def _as_json(check: "Check") -> dict[str, object]:
    from batchgen.core.text import usd

    amounts = [None if amount is None else usd(amount) for amount in (check.locked_usd, check.current_usd)]
    return {
        "format_version": 1,
        "drifts": [{"what": drift.what, "message": drift.message} for drift in check.drifts],
        "notes": list(check.notes),
        "locked_usd": amounts[0],
        "current_usd": amounts[1],
    }


def _as_text(check: "Check", path: Path) -> str:
    from batchgen.core.text import dollars

    lines = [f"{drift.what}: {drift.message}" for drift in check.drifts]
    lines += [f"note: {note}" for note in check.notes]
    if check.drifts:
        lines.append(
            f"the manifest has drifted from its lock: {dollars(check.locked_usd)} → {dollars(check.current_usd)}"
        )
    else:
        lines.append(f"the manifest is as {path} says: {dollars(check.current_usd)}")
    return "\n".join(lines)
