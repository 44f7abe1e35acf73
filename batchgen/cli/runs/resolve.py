"""`batchgen resolve`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import connection_options

if TYPE_CHECKING:
    from batchgen.api import Job
    from batchgen.journal import Attempt, Journal
    from batchgen.session.resolution import Settlement

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("resolve")
@click.argument("run")
@click.argument("item", required=False)
@click.option(
    "--job-id", metavar="ID", help="The item became this job; adopted once the API confirms its model and input."
)
@click.option("--not-charged", is_flag=True, help="The item was not charged; the next run buys it.")
@click.option("--charged", is_flag=True, help="The item was charged and its job cannot be found; it becomes lost.")
@click.option(
    "--export", "export", type=_FILE, metavar="FILE", help="Write all items in doubt to a CSV file to fill in."
)
@click.option("--import", "import_", type=_FILE, metavar="FILE", help="Settle items as a filled-in CSV file says.")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@connection_options
def command(run: str, item: str | None, **options: Any) -> None:
    """Settle items in doubt.

    RUN names a run: its folder, its manifest, or its name within the output folder. First look up
    the request in the provider's billing: `batchgen status` and --export show its time (UTC) and digest.

    In the exported file, fill in the column `how` of each row: job (with the id in the column job_id), not-charged or
    charged. Rows left empty stay in doubt. --import applies the whole list or nothing.
    """
    from batchgen.cli.listeners import show_notices
    from batchgen.core.errors import UsageError
    from batchgen.core.text import plural
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run
    from batchgen.session.resolution import export_doubts, import_settlements, match
    from batchgen.session.run_folder import open_run_folder

    ways = [bool(options[name]) for name in ("job_id", "not_charged", "charged", "export", "import_")]
    if sum(ways) != 1:
        raise UsageError("give exactly one of --job-id ID, --not-charged, --charged, --export FILE and --import FILE")
    if (item is not None) != any(ways[:3]):
        raise UsageError("give one ITEM with --job-id, --not-charged or --charged, and none with --export or --import")
    folder = find_run(run, options["output"], os.environ, read_name)
    with open_run_folder(folder, create=False) as journal:
        show_notices(journal)
        with journal.transaction():
            journal.doubt_interrupted()
        if options["export"]:
            count = export_doubts(journal, options["export"])
            click.echo(f"{plural(count, 'item')} in doubt written to {options['export']}")
            return
        listed = options["import_"]
        settlements = import_settlements(listed) if listed else [_one(item or "", options)]
        decided = _decide(journal, match(journal, settlements), Path(run), options)
        _settle(journal, decided)


def _one(item: str, options: dict[str, Any]) -> "Settlement":
    from batchgen.session.resolution import How, Settlement

    if options["job_id"]:
        return Settlement(item, How.JOB, options["job_id"])
    return Settlement(item, How.CHARGED if options["charged"] else How.NOT_CHARGED)


def _decide(
    journal: "Journal", matched: "Sequence[tuple[Settlement, Attempt]]", run: Path, options: dict[str, Any]
) -> "list[tuple[Settlement, Attempt, Job | None]]":
    """Add to each settlement the job that it adopts, confirmed by the API. Nothing is written yet."""
    import asyncio

    from batchgen.cli.access import access_of
    from batchgen.cli.listeners import show_notice
    from batchgen.client import HttpApi
    from batchgen.session.resolution import How, confirm
    from batchgen.session.run_folder import bind_account

    if not any(settlement.how is How.JOB for settlement, _ in matched):
        return [(settlement, attempt, None) for settlement, attempt in matched]
    facts = journal.facts()
    access = access_of(options, run)
    account = access.account_of(facts)
    bind_account(journal, facts.get("run", ""), account.binding, rotated_key=access.rotated_key)
    route = access.route_to(account, show_notice)

    async def ask(url: str) -> "list[tuple[Settlement, Attempt, Job | None]]":
        api = HttpApi(url, account.key.reveal(), route=route)
        try:
            return [
                (s, attempt, await confirm(api, journal, s, attempt) if s.how is How.JOB else None)
                for s, attempt in matched
            ]
        finally:
            await api.aclose()

    with account.connected(journal) as url:
        return asyncio.run(ask(url))


def _settle(journal: "Journal", decided: "Sequence[tuple[Settlement, Attempt, Job | None]]") -> None:
    from batchgen.core.clock import utc_now
    from batchgen.core.text import plural
    from batchgen.session.resolution import settle

    settle(journal, decided, utc_now())
    for settlement, attempt, _ in decided:
        click.echo(f"{attempt.work.item.id}: {_MEANING[settlement.how]}")
    click.echo(f"{plural(len(decided), 'item')} settled; continue with `batchgen run` or `batchgen collect`")


_MEANING = {
    "job": "adopted; it will be polled and downloaded",
    "not_charged": "pending again; the next run buys it",
    "charged": "lost; `--retry lost --yes` buys it again: you pay twice",
}
