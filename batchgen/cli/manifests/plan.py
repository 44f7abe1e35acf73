"""`batchgen plan`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.helping import RunOptions
from batchgen.cli.options import buying_options, catalog_option, manifest_options, setting_options, tell_warnings
from batchgen.cli.output import say

if TYPE_CHECKING:
    from batchgen.library.plan_report import PlanReport
    from batchgen.plan import PlanRow

WORK_TO_DO = 10


@click.command("plan", cls=RunOptions)
@manifest_options
@setting_options("max_new")
@buying_options
@click.option("--simulate", is_flag=True, help="Compare with the purchases of `run --simulate`.")
@catalog_option
@click.option("--items", "with_items", is_flag=True, help="List every item as it would be sent, and what has changed.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 if items are to be bought or were renamed.")
def command(manifest: Path, **options: Any) -> int:
    """Show what a run would buy and what it would cost.

    Nothing is sent and nothing is written: the manifest is compared with the run folder's journal, even during a run.
    """
    from batchgen.library.plan_report import plan_report
    from batchgen.library.preparing import prepared_run

    with prepared_run(manifest, options) as prepared:
        if not options["as_json"]:
            tell_warnings(prepared.manifest)
        report = plan_report(prepared)
        lines = _json_lines if options["as_json"] else _text_lines
        tell = click.echo if options["as_json"] else say
        for line in lines(report, prepared.rows() if options["with_items"] else None):
            tell(line)
    plan = report.plan
    return WORK_TO_DO if options["detailed_exitcode"] and (plan.to_buy or plan.renamed.items) else 0


def _text_lines(report: "PlanReport", rows: "Iterator[PlanRow] | None") -> Iterator[str]:
    """Yield the items, if they are asked for, and the plan below them, where it is seen last."""
    from batchgen.plan import format_row

    if rows is not None:
        yield from map(format_row, rows)
        yield ""
    yield report.text


def _json_lines(report: "PlanReport", rows: "Iterator[PlanRow] | None") -> Iterator[str]:
    """Yield the plan as JSON, with a line for each item, so that a million of them need no memory."""
    from batchgen.plan import row_json

    text = json.dumps(report.json(), indent=2)
    if rows is None:
        yield text
        return
    yield f'{text.removesuffix("}").rstrip()},\n  "rows": ['
    held = ""  # the last row has no comma behind it
    for row in rows:
        if held:
            yield f"{held},"
        held = f"    {json.dumps(row_json(row), ensure_ascii=False)}"
    if held:
        yield held
    yield "  ]\n}"
