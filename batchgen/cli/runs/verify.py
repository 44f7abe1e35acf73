"""`batchgen verify`: the files of a run against its journal; `--refetch` downloads again what differs."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import proxy_option
from batchgen.scheduler.refetch import Difference

if TYPE_CHECKING:
    from batchgen.journal import Journal
    from batchgen.journal.queries.report_rows import FileRow
    from batchgen.session.account import Access


@dataclass(frozen=True, slots=True)
class Checked:
    """How a run folder's files stand."""

    run: str
    files: int
    bytes: int
    differing: int
    unknown: tuple[str, ...]
    """Files below `files/` that the journal does not know."""


@click.command("verify")
@click.argument("run")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--quick", is_flag=True, help="Check length and container only, not SHA-256.")
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
@proxy_option
@click.option("--rotated-key", is_flag=True, help="The key is new, but belongs to the account that bought the files.")
def command(
    *,
    run: str,
    output: str | None,
    quick: bool,
    as_json: bool,
    repair: bool,
    **connection: Any,
) -> int:
    """Check the files of a run against its journal: present, length, SHA-256, container.

    RUN names a run: its folder, its manifest, or its name within the output folder. Exit 1: something differs.
    """
    from batchgen.session.locate import find_run

    folder = find_run(run, output, os.environ, _name_of)
    differences: list[Difference] = []
    # What is found is told at once where nothing more can become of it: a folder of missing files needs no memory.
    found = differences.append if as_json or repair else _say
    if repair:
        from batchgen.cli.access import access_of

        checked = _repaired(folder, quick, differences, access_of(connection, Path(run)))
    else:
        checked = check(folder, quick=quick, found=found)
    if as_json:
        click.echo(json.dumps(_as_json(checked, differences), indent=2))
    else:
        if repair:
            for difference in differences:
                _say(difference)
        click.echo(_as_text(checked, quick=quick, repaired=repair))
    return 1 if checked.differing else 0


def _name_of(manifest: Path) -> str:
    from batchgen.manifest import read_name

    return read_name(manifest)


# ---- checking -----------------------------------------------------------------------------------------------------


def check(folder: Path, *, quick: bool, found: Callable[[Difference], None]) -> Checked:
    """Check every file that the journal of a run folder knows; `found` is called with each that differs.

    `quick` leaves out the SHA-256. Raises RunFolderError.
    """
    from batchgen.download import check_file
    from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
    from batchgen.journal.queries.report_rows import facts_of, file_count, file_rows, lacking_files
    from batchgen.store import LocalDisk

    path, store = folder / FILE_NAME, LocalDisk(folder)
    files = size = differing = 0
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        run = facts_of(db).get("run", folder.name)
        for row in _with_progress(file_rows(db), file_count(db)):
            files += 1
            size += row.file.bytes
            reason = check_file(store, row.file, not quick)
            if reason is not None:
                differing += 1
                found(Difference(row, reason))
        for row in lacking_files(db):
            differing += 1
            found(Difference(row, "was ordered but never delivered"))
    return Checked(run, files, size, differing, tuple(_unknown(folder)))


def _unknown(folder: Path) -> Iterator[str]:
    from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
    from batchgen.journal.queries.report_rows import knows_file

    path = folder / FILE_NAME
    # A snapshot of its own: what a run stored while the files were checked is known by now.
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        for parent, _, names in os.walk(folder / "files"):
            for name in names:
                file = (Path(parent) / name).relative_to(folder).as_posix()
                if not knows_file(db, file):
                    yield file


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


# ---- downloading again --------------------------------------------------------------------------------------------


def _repaired(folder: Path, quick: bool, differences: list[Difference], access: "Access") -> Checked:  # noqa: FBT001 - private
    """Check, download again what differs, and return how it stands then; `differences` gets all with their outcome."""
    from batchgen.ledger import write_ledger
    from batchgen.session.run_folder import open_run_folder

    with open_run_folder(folder, create=False) as journal:
        checked = check(folder, quick=quick, found=differences.append)
        if differences:
            differences[:] = _fetched_again(folder, journal, differences, access)
            write_ledger(checked.run, folder)
    return replace(checked, differing=sum(not difference.refetched for difference in differences))


def _fetched_again(folder: Path, journal: "Journal", damaged: list[Difference], access: "Access") -> list[Difference]:
    from random import Random

    from batchgen.catalog import load_catalog
    from batchgen.cli.listeners import show_notice
    from batchgen.client import HttpApi
    from batchgen.core.errors import RunFolderError
    from batchgen.core.text import printable
    from batchgen.scheduler.refetch import Workshop, refetch
    from batchgen.store import LocalDisk

    facts = journal.facts()
    account = access.account_of(facts)
    if account.binding.api != facts["api"]:
        raise RunFolderError(
            f"this run was bought from {printable(facts['api'])}, not from {account.binding.api}; give the first"
            " address as --base-url"
        )
    # To another account the provider says that the jobs do not exist, which would read as a loss.
    if account.key.fingerprint != facts["account"] and not access.rotated_key:
        raise RunFolderError(
            f"this run belongs to another account (fingerprint {facts['account']}, not {account.key.fingerprint}); use "
            "that key, or --rotated-key if the account only has a new key"
        )
    kinds = {model.id: model.output for model in load_catalog().models.values()}

    route = access.route_to(account, show_notice)

    async def main(url: str) -> list[Difference]:
        api = HttpApi(url, account.key.reveal(), route=route)
        try:
            return await refetch(Workshop(api, LocalDisk(folder), journal, kinds, Random()), damaged)  # noqa: S311 - jitter
        finally:
            await api.aclose()

    with account.connected(journal) as url:
        return asyncio.run(main(url))
