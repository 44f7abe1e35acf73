"""`batchgen picks`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import run_argument
from batchgen.cli.output import FILE_OR_DASH, read_file, tell_written, written_file

if TYPE_CHECKING:
    from batchgen.picks import Pick, PicksOverview


@click.command("picks")
@run_argument
@click.option("--keep", multiple=True, metavar="ITEM@N", help="Keep an output (ITEM: the first one). Repeatable.")
@click.option("--reject", multiple=True, metavar="ITEM@N", help="Reject an output. Repeatable.")
@click.option("--clear", multiple=True, metavar="ITEM@N", help="Take back what was picked for an output. Repeatable.")
@click.option(
    "--export",
    "export",
    type=FILE_OR_DASH,
    metavar="CSV",
    help="Write all outputs to a CSV file to fill in; - for standard output.",
)
@click.option(
    "--import",
    "import_",
    type=FILE_OR_DASH,
    metavar="CSV",
    help="Take over the picks of a filled-in CSV file; - for standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the picks as JSON.")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
def command(run: str, **options: Any) -> None:
    """Show which outputs were kept and rejected, or choose them.

    RUN names a run: its folder, its manifest, or its name within the output folder. An item with
    `image: ${items.ID.picked}` is bought once exactly one output of ID was kept. All of this also works during a run.

    In the exported file, fill in the column `pick` (keep, reject or empty), and if you like `reason` and `rating`
    (1 to 5). --import applies the whole file or nothing.
    """
    from batchgen.core.errors import UsageError
    from batchgen.core.text import plural
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run
    from batchgen.session.picking import pick_from_sheet, pick_outputs, picks_overview

    given = [options["keep"] or options["reject"] or options["clear"], options["export"], options["import_"]]
    if sum(map(bool, given)) > 1:
        raise UsageError("give only one of --export, --import, and --keep, --reject, --clear")
    folder = find_run(run, options["output"], os.environ, read_name)
    if given[0]:
        count = pick_outputs(folder, options["keep"], options["reject"], options["clear"])
        click.echo(f"{plural(count, 'pick')} recorded")
    elif options["import_"]:
        with read_file(options["import_"]) as (file, name):
            count = pick_from_sheet(folder, file, name)
        click.echo(f"{plural(count, 'pick')} recorded; rows that say nothing new were passed over")
    elif options["export"]:
        with written_file(options["export"]) as file:
            count = _export(folder, file)
        tell_written(plural(count, "output"), options["export"])
    elif options["as_json"]:
        click.echo(json.dumps(_as_json(folder, picks_overview(folder)), indent=2))
    else:
        click.echo(_as_text(picks_overview(folder)))


def _export(folder: Path, path: Path) -> int:
    from batchgen.core.errors import UsageError
    from batchgen.core.files import staged_text
    from batchgen.picks import export_sheet
    from batchgen.session.picking import outputs_to_pick

    if os.path.lexists(path):
        raise UsageError(f"{path} exists already, and may be filled in; move it away, or export to another file")
    with staged_text(path) as out:
        return export_sheet(out, outputs_to_pick(folder))


def _as_json(folder: Path, found: "PicksOverview") -> dict[str, object]:
    picks = [_object(o.item, o.output, o.path, o.pick) for o in found.picked if o.pick is not None]
    outdated = [_object(pick.item, pick.output, None, pick) for pick in found.outdated]
    return {
        "format_version": 1,
        "run": folder.name,
        "outputs": found.outputs,
        "unpicked": found.unpicked,
        "picks": picks,
        "outdated": outdated,
        "awaited": found.awaited,
    }


def _object(item: str, output: int, file: str | None, pick: "Pick") -> dict[str, object]:
    said = {"pick": pick.pick, "reason": pick.reason, "rating": pick.rating, "at": pick.at}
    return {"item_id": item, "output": output, "file": file, **said}


def _as_text(found: "PicksOverview") -> str:
    """Return a table of what was picked, and how many outputs have no pick yet."""
    from batchgen.core.text import plural

    rows = [_row(o.pick, o.path) for o in found.picked if o.pick is not None]
    rows += [_row(pick, _OUTDATED) for pick in found.outdated]
    lines = []
    if rows:
        rows.insert(0, ("output", "pick", "rating", "at", "file", "reason"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if found.outdated:
        do = "does" if len(found.outdated) == 1 else "do"
        lines.append(f"{plural(len(found.outdated), 'pick')} {do} not count: the item has another file now, or none")
    if found.awaited:
        more = len(found.awaited) - _MOST_AWAITED
        names = ", ".join(found.awaited[:_MOST_AWAITED]) + (f", and {more:,} more" if more > 0 else "")
        lines.append(f"other items wait until exactly one output is kept of: {names}")
    if found.unpicked:
        how = f"choose with --keep {found.first_unpicked}, or --export FILE"
        lines.append(f"{plural(found.unpicked, 'output')} without a pick; {how}")
    elif not found.outputs:
        lines.append("no outputs on disk yet")
    return "\n".join(lines)


def _row(pick: "Pick", file: str) -> tuple[str, ...]:
    from batchgen.core.text import printable

    rating = "-" if pick.rating is None else str(pick.rating)
    name = printable(f"{pick.item}@{pick.output}", 120)
    return name, pick.pick or "-", rating, printable(pick.at, 20), printable(file, 200), printable(pick.reason, 200)


_OUTDATED = "outdated"
_MOST_AWAITED = 20
