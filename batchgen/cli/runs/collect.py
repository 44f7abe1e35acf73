"""`batchgen collect`."""

import os
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import connection_options, report_options, setting_options


@click.command("collect")
@click.argument("run")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--lost", is_flag=True, help="Ask once more for lost jobs, as every `run` does; it costs nothing.")
@setting_options("poll_min", "poll_max")
@connection_options
@report_options
def command(run: str, **options: Any) -> int:
    """Poll and download what is paid for; buy nothing.

    RUN names a run: its folder, its manifest, or its name within the output folder. No manifest is needed.
    """
    from batchgen.catalog import load_catalog
    from batchgen.cli.access import access_of
    from batchgen.cli.console import console_host, show_summary
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run
    from batchgen.session.session import CollectSession

    session = CollectSession(
        access=access_of(options, Path(run)),
        host=console_host(quiet=options["quiet"]),
        folder=find_run(run, options["output"], os.environ, read_name),
        catalog=load_catalog(),
        environment=os.environ,
        flags=options,
        ask_lost=options["lost"],
    )
    return show_summary(session.run(), as_json=options["as_json"], quiet=options["quiet"])
