"""`batchgen plan`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import manifest_options, setting_options, tell_warnings

if TYPE_CHECKING:
    from batchgen.session.prepare import PreparedRun

WORK_TO_DO = 10


@click.command("plan")
@manifest_options
@setting_options("max_new")
@click.option("--simulate", is_flag=True, help="Compare with the purchases of `run --simulate`.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 if items are to be bought or were renamed.")
def command(manifest: Path, **options: Any) -> int:
    """Show what a run would buy and what it would cost.

    Nothing is sent and nothing is written: the manifest is compared with the run folder's journal, even during a run.
    """
    from batchgen.catalog import load_catalog
    from batchgen.plan import format_plan, plan_json
    from batchgen.session.prepare import RunRequest, prepare

    request = RunRequest(
        manifest=manifest,
        environment=os.environ,
        catalog=load_catalog(),
        output=options["output"],
        name=options["name"],
        simulate=options["simulate"],
        only=options["only"],
        strict=options["strict"],
        flags=options,
    )
    with prepare(request) as prepared:
        tell_warnings(prepared.manifest)
        plan = prepared.plan()
        if options["as_json"]:
            click.echo(json.dumps(plan_json(plan), indent=2))
        else:
            click.echo(format_plan(plan, prepared.manifest.left_out, prepared.manifest.unseeded))
            if plan.changed:
                click.echo(f"changed: {', '.join(prepared.edited_ids(10))}{', …' if plan.changed > 10 else ''}")
            limit = prepared.settings.max_new
            if limit is not None and plan.to_buy > limit:
                click.echo(f"note: max_new lets one run buy only {limit:,} of them")
            if note := _simulated_beside(prepared):
                click.echo(note)
    return WORK_TO_DO if options["detailed_exitcode"] and (plan.to_buy or plan.renamed.items) else 0


def _simulated_beside(prepared: "PreparedRun") -> str | None:
    """Return a hint if nothing was bought with real money yet, but the run was tried with --simulate."""
    from batchgen.session.locate import is_run, simulated_name

    tried = prepared.folder.with_name(simulated_name(prepared.name))
    if is_run(prepared.folder) or not is_run(tried):
        return None
    return f"note: {tried} is a simulated run and does not count here; use `plan --simulate` to compare with it"
