"""`batchgen run`."""

from pathlib import Path
from typing import Any

import click

from batchgen.cli.helping import RunOptions
from batchgen.cli.options import (
    buying_options,
    connection_options,
    manifest_options,
    notification_options,
    report_options,
    setting_options,
    tell_warnings,
)


@click.command("run", cls=RunOptions)
@manifest_options
@setting_options()
@buying_options
@click.option(
    "--buy-again",
    is_flag=True,
    help="Buy again what another run folder, or an earlier state of this one, shows as bought.",
)
@click.option(
    "--locked",
    is_flag=True,
    help="Refuse a manifest that differs from its lock (`batchgen lock`), and spend no more than that says.",
)
@click.option(
    "--yes",
    "-y",
    is_flag=True,
    help="Answer yes to all questions (but --renamed and --buy-again); without a cap, the estimate is the cap.",
)
@click.option(
    "--start-at",
    metavar="TIME",
    help="Check and ask now, and start at this time: 22:00, or 2026-11-26T22:00 (your local time; +01:00 may follow).",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Submit nothing that would end after this time, 07:00 or 2026-11-27T07:00, as far as is known from earlier"
    " jobs; what is paid for is finished.",
)
@click.option(
    "--lease",
    metavar="PLACE",
    help="Where the lease of a --shard and a copy of its receipts are kept: a folder that all shards share, or"
    " s3://BUCKET/PREFIX (default: .shards in the output folder).",
)
@click.option(
    "--engine",
    metavar="ADDRESS",
    help="Buy on workers: local:N starts N processes on this machine, dask://HOST:PORT uses a Dask cluster.",
)
@click.option("--wait-for-balance", is_flag=True, help="When the balance is used up, wait until it is topped up.")
@click.option(
    "--simulate",
    is_flag=True,
    help="Run against an embedded simulator, in the run folder NAME.simulated: no key, no money.",
)
@connection_options
@notification_options
@report_options
def command(manifest: Path, **options: Any) -> int:
    """Buy what is missing, download it, and write the ledger.

    Run the same command to continue; nothing is bought twice. With --simulate, nothing leaves this machine.
    Prompts and reference images must be lawful, and used with the consent of the people they show.
    """
    from batchgen.cli.access import access_of
    from batchgen.cli.console import console_host, show_summary
    from batchgen.cli.listeners import show_folder
    from batchgen.library.notifying import notifying
    from batchgen.library.preparing import prepared_run
    from batchgen.library.runs import session_of

    host = console_host(quiet=options["quiet"])
    with notifying(options, manifest, host.listen) as notifier, prepared_run(manifest, options) as prepared:
        notifier.prepared(prepared)
        if not options["quiet"]:
            show_folder(prepared.folder)
        tell_warnings(prepared.manifest)
        session = session_of(prepared, options, access_of(options, manifest), notifier.around(host))
        try:
            summary = session.run()
        except click.Abort:  # at a question: others are told of an interruption, which it is
            raise KeyboardInterrupt from None
        notifier.ended(summary)
        return show_summary(summary, as_json=options["as_json"], quiet=options["quiet"])
