"""`batchgen collect`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import connection_options, report_options, setting_options


@click.command("collect")
@click.argument("run")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--lost", is_flag=True, help="Ask once more for lost jobs, as every `run` does; costs nothing.")
@setting_options("poll_min", "poll_max")
@connection_options
@report_options
def command(run: str, **options: Any) -> int:
    """Poll and download what is paid for; buy nothing.

    RUN names a run: its folder, its manifest, or its name within the output folder. No manifest is needed.
    """
    from batchgen.catalog import load_catalog
    from batchgen.cli.account import account_of_run, route_to, tell, tell_notices
    from batchgen.manifest import read_name
    from batchgen.session import Invocation, bind, execute, opened
    from batchgen.session.locate import find_run
    from batchgen.settings import resolve_settings

    folder = find_run(run, options["output"], os.environ, read_name)
    with opened(folder, create=False) as journal:
        tell_notices(journal)
        facts = journal.facts()
        settings = resolve_settings(options, os.environ, _settings_of(facts))
        account = account_of_run(
            facts,
            base_url=options["base_url"],
            manifest_folder=Path(run).parent if Path(run).is_file() else None,
            key_file=options["api_key_file"],
        )
        route = route_to(account, options["proxy"])
        name = facts.get("run", folder.name)
        bind(journal, name, account.binding, rotated_key=options["rotated_key"])
        with account.connected(folder) as url:
            summary = execute(
                Invocation(
                    name=name,
                    folder=folder,
                    journal=journal,
                    settings=settings,
                    catalog=load_catalog(),
                    base_url=url,
                    key=account.key,
                    buying=False,
                    ask_lost=options["lost"],
                    quiet=options["quiet"],
                    route=route,
                )
            )
    return tell(summary, as_json=options["as_json"], quiet=options["quiet"])


_LIMITS_OF_BUYING = frozenset({"max_cost", "budget", "max_new", "max_failures"})


def _settings_of(facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the manifest that was run last, as the run folder has them, but for limits of buying."""
    from batchgen.core.errors import RunFolderError
    from batchgen.settings import BY_NAME, parse_setting

    try:
        return {
            name: parse_setting(BY_NAME[name], text)
            for name, text in json.loads(facts.get("settings", "{}")).items()
            if name in BY_NAME and name not in _LIMITS_OF_BUYING  # a newer release may know more
        }
    except (ValueError, AttributeError) as error:
        raise RunFolderError(
            "the settings in the run folder's journal cannot be read; restore it from a backup"
        ) from error
