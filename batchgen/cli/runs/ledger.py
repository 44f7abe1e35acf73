"""`batchgen ledger`: cost reports."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.helping import LedgerOptions
from batchgen.cli.options import only_option, runs_argument
from batchgen.cli.output import FILE_OR_DASH, tell_written, written_file
from batchgen.cli.reconciling import check, match, reconciling_options, refuse, refuse_strays

if TYPE_CHECKING:
    from batchgen.core.costs import CostSum
    from batchgen.ledger.costs import CostReport
    from batchgen.ledger.reported import Reported


@click.command("ledger", cls=LedgerOptions)
@runs_argument
@click.option(
    "--by",
    multiple=True,
    default=("model",),
    metavar="GROUP",
    help="Group by model, day, month, state, run or tag:NAME (default model). Give it twice for groups within groups.",
)
@click.option("--since", metavar="TIME", help="Leave out what came before: 2026-11, 2026-11-03 or 2026-11-03T18:00.")
@click.option("--until", metavar="TIME", help="Leave out what came at this time or later; `--until 2026-12`: November.")
@click.option(
    "--tz",
    default="UTC",
    show_default=True,
    metavar="ZONE",
    help="The time zone of days, months, --since and --until, such as Europe/Berlin.",
)
@only_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "focus"]),
    default="table",
    show_default=True,
    help="How to print the report. focus: each charge and each refund as a CSV row of FOCUS 1.2, for FinOps tools.",
)
@click.option("--output", metavar="DIR", help="The output folder that holds the runs.")
@click.option("--simulated", is_flag=True, help="Report the pretend money of simulated runs only.")
@click.option(
    "--as-bought",
    type=FILE_OR_DASH,
    metavar="FILE",
    help="Write a short list of purchases to keep in git (- for standard output); `run.bought` and --skip-bought read"
    " it.",
)
@click.option(
    "--forget",
    metavar="RUN",
    help="Count a run whose folder is gone against the month's budget no longer; needs --yes.",
)
@click.option("--yes", is_flag=True, help="Confirm what --forget does.")
@reconciling_options
@click.pass_context
def command(context: click.Context, /, *, runs: tuple[str, ...], **options: Any) -> int:
    """Report the costs of runs or ledger files.

    RUN names a run (its folder, its manifest, or its name within the output folder) or is a ledger as a .csv file. A
    purchase that appears twice, in a run and in a copy of its ledger, counts once.

    A charge counts at the time when it was accepted, and a refund, as a negative amount, when it was given: by day, by
    month, and between --since and --until, the two may fall apart. Attempts are counted with their charge.

    `--format focus` has each charge and each refund as a row of its own; its billing periods are the months of --tz.

    Simulated runs are left out of a report of real money. If there is nothing else, the table shows them and says so;
    CSV and JSON show them only with --simulated.

    With --match, --since and --until say which time the bill covers: what only the books have counts within it, and
    items in doubt from well within it are told apart from those that the bill cannot know.
    """
    from batchgen.session.locate import find_run

    if options["forget"] is not None:
        return _forget(options["forget"], options["output"], agreed=options["yes"])
    refuse(context, ("yes",), "belongs to --forget")
    if not runs:
        raise click.UsageError("Missing argument 'RUN...': a run folder, a manifest, the name of a run, or a ledger.")
    files = [Path(run) for run in runs if run.lower().endswith(".csv") and Path(run).is_file()]
    folders = [find_run(run, options["output"], os.environ, _name_of) for run in runs if Path(run) not in files]
    if options["check"]:
        return check(context, folders, files, options)
    folders, files = _without_merged(folders, files)
    if options["bill"] is not None:
        return match(context, folders, files, options)
    refuse_strays(context)
    if options["form"] == "focus":
        refuse(context, ("by", "as_bought"), "does not go with --format focus")
    if options["as_bought"] is not None:
        return _list_bought(folders, files, options["as_bought"])
    return _report(folders, files, options)


def _without_merged(folders: list[Path], files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Leave out, and say so, what was merged into another run folder that is given too: it would count twice."""
    from batchgen.core.text import plural
    from batchgen.journal.merging.marks import is_merged_into

    there = {folder.resolve() for folder in (*folders, *(file.resolve().parent for file in files))}
    kept = [folder for folder in folders if not is_merged_into(folder, there)]
    kept_files = [file for file in files if not is_merged_into(file.resolve().parent, there)]
    if left_out := len(folders) + len(files) - len(kept) - len(kept_files):
        click.echo(f"{plural(left_out, 'run')} left out: merged into another one that is given", err=True)
    return kept, kept_files


def _report(folders: list[Path], files: list[Path], options: dict[str, Any]) -> int:
    from batchgen.ledger.charges import charges_of
    from batchgen.ledger.costs import cost_report
    from batchgen.ledger.focus import FocusRows
    from batchgen.ledger.formats import as_csv, as_json
    from batchgen.ledger.period import read_period
    from batchgen.ledger.reported import Reported
    from batchgen.ledger.table import as_table
    from batchgen.plan.selection import Selection

    period = read_period(options["since"], options["until"], options["tz"])
    selection = Selection.parse(options["only"])

    def reported(*, simulated: bool) -> Reported:
        return Reported(
            charges_of(folders, files),
            period=period,
            wanted=lambda charge: selection.wants(charge.item_id, charge.tags),
            unique=len(folders) == 1 and not files,
            simulated=simulated,
        )

    chosen = reported(simulated=options["simulated"])
    if options["form"] == "focus":
        rows = FocusRows(chosen)
        for piece in rows:
            click.echo(piece, nl=False)
        _remark_on(chosen)
        _remark_on_doubts(rows.in_doubt)
        return 0
    report = cost_report(options["by"], chosen)
    if options["form"] == "table" and not options["simulated"] and report.left_out and not report.total.rows:
        report = cost_report(options["by"], reported(simulated=True))
    formats = {"table": as_table, "csv": as_csv, "json": as_json}
    click.echo(formats[options["form"]](report), nl=False)
    _remark_on(report)
    _remark_on_tags(report)
    return 0


def _remark_on(report: "CostReport | Reported") -> None:
    from batchgen.core.text import plural

    if report.left_out and not report.simulated:
        click.echo(f"{plural(report.left_out, 'simulated row')} left out; --simulated reports them", err=True)
    if report.repeated:
        click.echo(f"{plural(report.repeated, 'row')} given more than once, counted once", err=True)


def _remark_on_tags(report: "CostReport") -> None:
    from batchgen.core.text import printable

    for number, by in enumerate(report.by):
        if by.startswith("tag:") and {names[number] for names, _ in report.groups} == {None}:
            click.echo(f"no row has the tag {printable(by.removeprefix('tag:'))}", err=True)


def _remark_on_doubts(doubts: "CostSum") -> None:
    from batchgen.core.text import dollars, plural

    if doubts.rows:
        what = f"{plural(doubts.rows, 'item')} in doubt ({dollars(doubts.in_doubt)}) left out: whether"
        click.echo(f"{what} they were charged is not known; see `batchgen resolve`", err=True)


def _forget(run: str, output: str | None, *, agreed: bool) -> int:
    from batchgen.session.locate import output_folder
    from batchgen.session.sharing.forgetting import forget_run

    click.echo(forget_run(output_folder(None, output, os.environ), run, agreed=agreed))
    return 0


def _list_bought(folders: list[Path], files: list[Path], path: Path) -> int:
    from batchgen.core.text import plural
    from batchgen.ledger.bought import write_bought
    from batchgen.ledger.charges import charges_of

    with written_file(path) as file:
        count = write_bought(charges_of(folders, files), file)
    tell_written(plural(count, "purchase"), path)
    return 0


def _name_of(manifest: Path) -> str:
    from batchgen.manifest import read_name

    return read_name(manifest)
