"""`batchgen resolve`."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import connection_options, run_argument
from batchgen.cli.output import FILE_OR_DASH, read_file, say, tell_written, written_file

if TYPE_CHECKING:
    from batchgen.session.repair.resolution import Settlement


@click.command("resolve")
@run_argument
@click.argument("item", required=False)
@click.option(
    "--job-id", metavar="ID", help="The item became this job; adopted once the API confirms its model and input."
)
@click.option("--not-charged", is_flag=True, help="The item was not charged; the next run buys it.")
@click.option("--charged", is_flag=True, help="The item was charged and its job cannot be found; it becomes lost.")
@click.option(
    "--export",
    "export",
    type=FILE_OR_DASH,
    metavar="FILE",
    help="Write all items in doubt to a CSV file to fill in; - for standard output.",
)
@click.option(
    "--import",
    "import_",
    type=FILE_OR_DASH,
    metavar="FILE",
    help="Settle items as a filled-in CSV file says; - for standard input.",
)
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@connection_options
def command(run: str, item: str | None, **options: Any) -> None:
    """Settle items in doubt.

    RUN names a run: its folder, its manifest, or its name within the output folder. First look up
    the request in the provider's billing: `batchgen status` and --export show its time (UTC) and digest.

    In the exported file, fill in the column `how` of each row: job (with the id in the column job_id), not-charged or
    charged. Rows left empty stay in doubt. --import applies the whole list or nothing.
    """
    from batchgen.cli.access import access_of
    from batchgen.cli.listeners import show_notice, show_notices
    from batchgen.core.clock import utc_now
    from batchgen.core.errors import UsageError
    from batchgen.core.text import plural
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run
    from batchgen.session.repair.resolution import decide, export_doubts, import_settlements, match, settle
    from batchgen.session.run_folder import open_run_folder
    from batchgen.session.workers.left_behind import take_in

    ways = [bool(options[name]) for name in ("job_id", "not_charged", "charged", "export", "import_")]
    if sum(ways) != 1:
        raise UsageError("give exactly one of --job-id ID, --not-charged, --charged, --export FILE and --import FILE")
    if (item is not None) != any(ways[:3]):
        raise UsageError("give one ITEM with --job-id, --not-charged or --charged, and none with --export or --import")
    folder = find_run(run, options["output"], os.environ, read_name)
    with open_run_folder(folder, create=False) as journal:
        show_notices(journal)
        take_in(journal, folder, show_notice)  # else somebody could settle otherwise what workers know
        with journal.transaction():
            journal.doubt_interrupted()
        if path := options["export"]:
            with written_file(path) as file:
                count = export_doubts(journal.db, file)
            tell_written(f"{plural(count, 'item')} in doubt", path)
            if count:
                filled = shlex.join(["batchgen", "resolve", str(folder), "--import", str(path)])
                say(f"next: fill in the columns `how` and `job_id`, and settle them:\n  {filled}", err=True)
            return
        if path := options["import_"]:
            with read_file(path) as (file, name):
                settlements = import_settlements(file, name)
        else:
            settlements = [_one(item or "", options)]
        decided = decide(journal, match(journal, settlements), access_of(options, Path(run)), show_notice)
        settle(journal, decided, utc_now())
    for settlement, attempt, _ in decided:
        click.echo(f"{attempt.work.item.id}: {_MEANING[settlement.how]}")
    click.echo(f"{plural(len(decided), 'item')} settled; continue with `batchgen run` or `batchgen collect`")


def _one(item: str, options: dict[str, Any]) -> "Settlement":
    from batchgen.session.repair.resolution import How, Settlement

    if options["job_id"]:
        return Settlement(item, How.JOB, options["job_id"])
    return Settlement(item, How.CHARGED if options["charged"] else How.NOT_CHARGED)


_MEANING = {
    "job": "adopted; it will be polled and downloaded",
    "not_charged": "pending again; the next run buys it",
    "charged": "lost; `--retry lost --yes` buys it again: you pay twice",
}
