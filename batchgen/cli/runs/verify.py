"""`batchgen verify`: the files of a run against its journal; `--refetch` downloads damaged files again."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import catalog_option, proxy_option, run_argument
from batchgen.scheduler.refetch import Difference
from batchgen.session.repair.verification import Checked, check

if TYPE_CHECKING:
    from batchgen.journal.queries.report_rows import FileRow


@click.command("verify")
@run_argument
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--quick", is_flag=True, help="Check length and container only, not SHA-256.")
@click.option("--deep", is_flag=True, help="Also read what is in an object store, instead of asking for its checksum.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--refetch", "repair", is_flag=True, help="Download missing or damaged files again; buys nothing.")
@click.option(
    "--base-url",
    metavar="URL",
    envvar="BATCHGEN_BASE_URL",
    help="For --refetch: the address of the API that the files were bought from, if it is not https://api18.dev.",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For --refetch: a file that holds only the key (default: API18_KEY, then .env).",
)
@catalog_option
@proxy_option
@click.option("--rotated-key", is_flag=True, help="The key is new, but belongs to the account that bought the files.")
def command(
    *,
    run: str,
    output: str | None,
    quick: bool,
    deep: bool,
    as_json: bool,
    repair: bool,
    **connection: Any,
) -> int:
    """Check the files of a run against its journal: present, length, SHA-256, container.

    RUN names a run: its folder, its manifest, or its name within the output folder. Exit 1: something differs.
    """
    from batchgen.session.locate import find_run

    folder = find_run(run, output, os.environ, _name_of)
    kept: list[Difference] = []
    differences: Sequence[Difference] = kept
    if repair:
        checked, differences = _refetched(folder, Path(run), quick=quick, deep=deep, connection=connection)
    else:
        # Differences are printed at once if possible: a folder of missing files then needs no memory.
        checked = check(folder, quick=quick, deep=deep, found=kept.append if as_json else _say, watch=_with_progress)
    if as_json:
        click.echo(json.dumps(_as_json(checked, differences), indent=2))
    else:
        if repair:
            for difference in differences:
                _say(difference)
        click.echo(_as_text(checked, quick=quick, repaired=repair))
    return 1 if checked.differing else 0


def _refetched(
    folder: Path, run: Path, *, quick: bool, deep: bool, connection: dict[str, Any]
) -> tuple[Checked, Sequence[Difference]]:
    from batchgen.catalog import load_catalog
    from batchgen.cli.access import access_of
    from batchgen.cli.listeners import show_notice
    from batchgen.session.repair.refetching import check_and_refetch

    access = access_of(connection, run)
    tables = load_catalog(connection["catalog"])
    return check_and_refetch(folder, access, tables, quick=quick, deep=deep, watch=_with_progress, tell=show_notice)


def _name_of(manifest: Path) -> str:
    from batchgen.manifest import read_name

    return read_name(manifest)


def _with_progress(rows: "Iterable[FileRow]", total: int) -> "Iterable[FileRow]":
    if not _on_terminal():
        return rows
    from tqdm import tqdm

    return tqdm(rows, total=total, unit=" files", leave=False, file=sys.stderr)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _say(difference: Difference) -> None:
    if _on_terminal():
        from tqdm import tqdm

        tqdm.write(str(difference))  # to stdout, past the bar
    else:
        click.echo(str(difference))


def _as_text(checked: Checked, *, quick: bool, repaired: bool) -> str:
    from batchgen.core.text import plural, printable

    lines = [f"note: {printable(path)} is not in the journal" for path in checked.unknown]
    how = "length and container" if quick else "length, SHA-256 and container"
    total = f"{plural(checked.files, 'file')}, {checked.bytes:,} bytes"
    verdict = f"{checked.differing:,} differ" if checked.differing else "all match the journal"
    hint = "; `--refetch` downloads them again and buys nothing" if checked.differing and not repaired else ""
    return "\n".join([*lines, f"{checked.run}: {total}: {verdict} ({how}){hint}"])


def _as_json(checked: Checked, differences: Sequence[Difference]) -> dict[str, object]:
    return {
        "format_version": 1,
        "run": checked.run,
        "files": checked.files,
        "bytes": checked.bytes,
        "differing": checked.differing,
        "differences": [
            {
                "file": difference.row.file.path,
                "item_id": difference.row.item_id,
                "output": difference.row.file.output,
                "reason": difference.reason,
                "refetched": difference.refetched,
                "detail": difference.detail,
            }
            for difference in differences
        ],
        "unknown": list(checked.unknown),
    }
