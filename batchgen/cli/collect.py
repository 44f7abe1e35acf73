"""`batchgen collect`."""

import os
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import connection_options, report_options, setting_options


@click.command("collect")
@click.argument("run")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@setting_options("poll_min", "poll_max")
@connection_options
@report_options
def command(run: str, **options: Any) -> int:
    """Poll and download what is paid for; buy nothing.

    RUN names a run: its folder, its manifest, or its name within the output folder. No manifest is needed.
    """
    from batchgen.cli.session import account_for, tell
    from batchgen.locate import find_run
    from batchgen.manifest import read_name
    from batchgen.run import SIMULATOR, Invocation, bind, execute, opened
    from batchgen.settings import resolve_settings

    folder = find_run(run, options["output"], os.environ, read_name)
    settings = resolve_settings(options, os.environ, {})
    with opened(folder, create=False) as journal:
        facts = journal.facts()
        account = account_for(
            simulate=facts.get("api") == SIMULATOR,
            base_url=options["base_url"] or facts.get("api"),
            manifest_folder=Path(run).parent if Path(run).is_file() else None,
            key_file=options["api_key_file"],
        )
        name = facts.get("run", folder.name)
        bind(journal, name, account.binding, rotated_key=options["rotated_key"])
        with account.connected(folder) as url:
            summary = execute(
                Invocation(
                    name=name,
                    folder=folder,
                    journal=journal,
                    settings=settings,
                    base_url=url,
                    key=account.key,
                    buying=False,
                    quiet=options["quiet"],
                )
            )
    return tell(summary, as_json=options["as_json"], quiet=options["quiet"])
