"""`batchgen export`."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import only_option, run_argument

if TYPE_CHECKING:
    from batchgen.export import ExportResult


@click.command("export")
@run_argument
@click.argument("dest", type=click.Path(path_type=Path))
@only_option
@click.option("--kept", is_flag=True, help="Only outputs that were kept with `batchgen picks`.")
@click.option("--costs", is_flag=True, help="Write cost sheets: costs.csv by item, costs-sums.csv by model and tag.")
@click.option("--zip", "archive", is_flag=True, help="Also write the export as one archive, DEST.zip.")
@click.option("--sidecars", is_flag=True, help="Write a JSON file with the metadata beside each file.")
@click.option("--mark", is_flag=True, help="Export copies that say in their XMP that a model made them.")
@click.option("--prompts", is_flag=True, help="With --mark: write the prompt into the copies, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
def command(run: str, dest: Path, *, only: tuple[str, ...], as_json: bool, output: str | None, **options: bool) -> int:
    """Hand over the files of a run with their metadata, in a folder of their own.

    RUN names a run: its folder, its manifest, or its name within the output folder. DEST is a new or empty folder, or
    one that this run was exported to before. Files that are there already are not copied again; those that an earlier
    export wrote and that are not wanted any more are removed. Outputs that were rejected are left out.

    Files are hard links where that is possible: a program that changes them in place changes the run's files, too.
    With --mark they are always copies. Exit 1: some files are not as they should be.
    """
    from batchgen.core.errors import UsageError
    from batchgen.core.text import printable
    from batchgen.export import ExportOptions, export_run
    from batchgen.manifest import read_name
    from batchgen.plan.selection import Selection
    from batchgen.session.locate import find_run

    if options["prompts"] and not options["mark"]:
        raise UsageError("--prompts says what --mark writes: give both")
    folder = find_run(run, output, os.environ, read_name)
    result = export_run(
        folder,
        dest,
        ExportOptions(Selection.parse(only), **options),
        tell=lambda message: click.echo(printable(message), err=True),
        watch=_with_progress,
    )
    if result.simulated:
        click.echo("simulated: these files were drawn by a simulator, for pretend money", err=True)
    click.echo(json.dumps(_as_json(result), indent=2) if as_json else _as_text(result))
    return 1 if result.problems else 0


def _with_progress(outputs: "Iterable[Any]", total: int) -> "Iterable[Any]":
    if not sys.stderr.isatty():
        return outputs
    from tqdm import tqdm

    return tqdm(outputs, total=total, unit=" files", leave=False, file=sys.stderr)


def _as_text(result: "ExportResult") -> str:
    from batchgen.core.text import dollars, plural

    counts = [f"{result.outcomes[outcome]:,} {outcome}" for outcome in ("new", "replaced", "unchanged")]
    lines = [f"{result.run}: {plural(result.files, 'file')} in {result.folder}: {', '.join(counts)}"]
    if result.removed:
        lines.append(f"{plural(result.removed, 'file')} of an earlier export removed")
    if result.rejected:
        lines.append(f"{plural(result.rejected, 'output')} left out, rejected")
    if result.marked or result.unmarked:
        lines.append(f"{plural(result.marked, 'file')} marked")
        lines += [f"{plural(count, 'file')} not marked: {why}" for why, count in sorted(result.unmarked.items())]
    if result.net is not None:
        lines.append(f"cost of these items: {dollars(result.net)}")
    if result.archive is not None:
        lines.append(f"archive: {result.archive}")
    if result.problems:
        are = "is not as it" if result.problems == 1 else "are not as they"
        lines.append(f"{plural(result.problems, 'file')} {are} should be; see above")
    return "\n".join(lines)


def _as_json(result: "ExportResult") -> dict[str, object]:
    from batchgen.core.text import usd_or_null

    return {
        "format_version": 1,
        "run": result.run,
        "simulated": result.simulated,
        "folder": str(result.folder),
        "files": result.files,
        **{outcome: result.outcomes[outcome] for outcome in ("new", "replaced", "unchanged")},
        "removed": result.removed,
        "rejected": result.rejected,
        "marked": result.marked,
        "unmarked": dict(sorted(result.unmarked.items())),
        "net_usd": usd_or_null(result.net),
        "archive": None if result.archive is None else str(result.archive),
        "problems": result.problems,
    }
