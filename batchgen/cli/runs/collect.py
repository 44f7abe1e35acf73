"""`batchgen collect`."""

import os
from pathlib import Path
from typing import Any

import click

from batchgen.cli.helping import RunOptions
from batchgen.cli.options import connection_options, report_options, run_argument, setting_options


@click.command("collect", cls=RunOptions)
@run_argument
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
    from batchgen.cli.listeners import show_folder
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run
    from batchgen.session.session import CollectSession

    folder = find_run(run, options["output"], os.environ, read_name)
    if not options["quiet"]:
        show_folder(folder)
    session = CollectSession(
        access=access_of(options, Path(run)),
        host=console_host(quiet=options["quiet"]),
        folder=folder,
        catalog=load_catalog(options["catalog"]),
        environment=os.environ,
        flags=options,
        ask_lost=options["lost"],
    )
    return show_summary(session.run(), as_json=options["as_json"], quiet=options["quiet"])
