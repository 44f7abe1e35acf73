"""`batchgen ledger`: cost reports."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchgen.ledger import Charge


@click.command("ledger")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--by",
    default="model",
    show_default=True,
    metavar="GROUP",
    help="Group by model, day, month, state, run or tag:NAME. Days and months are UTC.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="How to print the report.",
)
@click.option("--output", metavar="DIR", help="The output folder that holds the runs.")
@click.option("--simulated", is_flag=True, help="Report the pretend money of simulated runs only.")
@click.option(
    "--as-bought",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a short list of purchases to keep in git; `run.bought` and --skip-bought read it.",
)
def command(
    *, runs: tuple[str, ...], by: str, form: str, output: str | None, simulated: bool, as_bought: Path | None
) -> int:
    """Report the costs of runs or ledger files.

    RUN names a run (its folder, its manifest, or its name within the output folder) or is a ledger as a .csv file. A
    purchase that appears twice, in a run and in a copy of its ledger, counts once.

    Simulated runs are left out of a report of real money. If there is nothing else, the table shows them and says so;
    CSV and JSON show them only with --simulated.
    """
    from batchgen.core.text import plural, printable
    from batchgen.ledger import CostReport, as_csv, as_json, as_table, cost_report
    from batchgen.session.locate import find_run

    files = [Path(run) for run in runs if run.lower().endswith(".csv") and Path(run).is_file()]
    folders = [find_run(run, output, os.environ, _name_of) for run in runs if Path(run) not in files]

    if as_bought is not None:
        return _list_bought(_charges(folders, files), as_bought)

    def report_of(*, simulated: bool) -> CostReport:
        return cost_report(by, _charges(folders, files), unique=len(folders) == 1 and not files, simulated=simulated)

    report = report_of(simulated=simulated)
    if form == "table" and not simulated and report.left_out and not report.total.rows:
        report = report_of(simulated=True)
    formats = {"table": as_table, "csv": as_csv, "json": as_json}
    click.echo(formats[form](report), nl=False)
    if report.left_out and not report.simulated:
        click.echo(f"{plural(report.left_out, 'simulated row')} left out; --simulated reports them", err=True)
    if report.repeated:
        click.echo(f"{plural(report.repeated, 'row')} given more than once, counted once", err=True)
    if by.startswith("tag:") and [name for name, _ in report.groups] == [None]:
        click.echo(f"no row has the tag {printable(by.removeprefix('tag:'))}", err=True)
    return 0


def _list_bought(charges: "Iterator[Charge]", path: Path) -> int:
    from batchgen.core.text import plural
    from batchgen.ledger.bought import write_bought

    count = write_bought(charges, path)
    click.echo(f"wrote {plural(count, 'purchase')} to {path}")
    return 0


def _charges(folders: list[Path], files: list[Path]) -> "Iterator[Charge]":
    from batchgen.ledger import file_charges, run_charges

    # Folders come first: of two copies the first counts, and a journal is never older than its ledger.
    for folder in folders:
        yield from run_charges(folder)
    for file in files:
        yield from file_charges(file)


def _name_of(manifest: Path) -> str:
    from batchgen.manifest import read_name

    return read_name(manifest)
