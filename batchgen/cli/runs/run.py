"""`batchgen run`."""

import os
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import (
    connection_options,
    manifest_options,
    report_options,
    setting_options,
    tell_warnings,
)


@click.command("run")
@manifest_options
@setting_options()
@click.option(
    "--retry",
    metavar="STATES",
    default="",
    help="Retry items in these states: failed, rejected, lost (comma-separated).",
)
@click.option(
    "--again",
    multiple=True,
    metavar="GLOB",
    help="Buy finished items that match GLOB again; asks first, unless --yes is given. Repeatable.",
)
@click.option(
    "--skip-bought",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="LEDGER",
    help="Leave out what another run has bought: its folder, its ledger, or a list from `ledger --as-bought`."
    " Repeatable.",
)
@click.option(
    "--renamed",
    type=click.Choice(["adopt", "buy"]),
    help="For items already bought under another id: adopt the purchases, or buy again. Default: ask.",
)
@click.option(
    "--buy-again",
    is_flag=True,
    help="Buy again what another run folder, or an earlier state of this one, shows as bought.",
)
@click.option(
    "--yes",
    "-y",
    is_flag=True,
    help="Answer yes to all questions (but --renamed and --buy-again); without a cap, the estimate is the cap.",
)
@click.option("--wait-for-balance", is_flag=True, help="When the balance is used up, wait until it is topped up.")
@click.option(
    "--simulate",
    is_flag=True,
    help="Run against an embedded simulator, in the run folder NAME.simulated: no key, no money.",
)
@connection_options
@report_options
def command(manifest: Path, **options: Any) -> int:
    """Buy what is missing, download it, and write the ledger.

    Run the same command to continue; nothing is bought twice. With --simulate, nothing leaves this machine.
    Prompts and reference images must be lawful, and used with the consent of the people they show.
    """
    from batchgen.catalog import load_catalog
    from batchgen.cli.access import access_of
    from batchgen.cli.console import console_host, show_summary
    from batchgen.core.errors import DeclinedError
    from batchgen.journal import BuyAgain
    from batchgen.session.prepare import RunRequest, parse_states, prepare
    from batchgen.session.session import RunSession

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
        retry=parse_states(options["retry"]),
        again=BuyAgain(options["again"]),
        skip_bought=options["skip_bought"],
        renamed=options["renamed"],
        buy_again=options["buy_again"],
        yes=options["yes"],
    )
    with prepare(request) as prepared:
        tell_warnings(prepared.manifest)
        session = RunSession(
            access=access_of(options, manifest),
            host=console_host(quiet=options["quiet"]),
            prepared=prepared,
            wait_for_balance=options["wait_for_balance"],
        )
        try:
            summary = session.run()
        except DeclinedError as declined:
            click.echo(str(declined), err=True)
            return 2
    return show_summary(summary, as_json=options["as_json"], quiet=options["quiet"])
