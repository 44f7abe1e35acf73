"""`batchgen recover`."""

import os
from pathlib import Path
from typing import Any

import click

from batchgen.cli.options import catalog_option, run_argument


@click.command("recover")
@run_argument
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@catalog_option
def command(run: str, manifest: Path, **options: Any) -> None:
    """Rebuild a lost or damaged journal from receipts.jsonl, the manifest and the files.

    RUN is the run folder, or its name within the output folder. A journal that exists is kept under another name.
    Nothing is sent and nothing is bought; continue with `batchgen run` or `collect`. An item whose answer is not in the
    receipts is in doubt.
    """
    from batchgen.catalog import load_catalog
    from batchgen.cli.listeners import show_notices
    from batchgen.core.text import plural, printable, usd
    from batchgen.journal.queries.run_status import without_request
    from batchgen.session.locate import output_folder
    from batchgen.session.prepare import prepare
    from batchgen.session.repair.recovery import recover
    from batchgen.session.request import RunRequest
    from batchgen.session.run_folder import open_run_folder
    from batchgen.settings import RUN_NAME

    folder = Path(run)
    if not folder.is_dir() and RUN_NAME.fullmatch(run):
        folder = output_folder(manifest, options["output"], os.environ) / run
    # The manifest is read first: a mistake in it must not be found when half of the work is done.
    tables = load_catalog(options["catalog"])
    with prepare(RunRequest(manifest, os.environ, tables, output=options["output"])) as prepared:
        recovered = recover(folder)
        with open_run_folder(folder, create=False) as journal:
            show_notices(journal)
            journal.list_items(prepared.item_table)
            bodiless, name = without_request(journal.db), journal.facts().get("run", folder.name)
    counts, spend = recovered.counts, recovered.spend
    bought = plural(sum(counts.values()), "item")
    click.echo(f"{name}: the journal was rebuilt from receipts.jsonl; {bought} bought or in doubt")
    for state, number in sorted(counts.items()):
        click.echo(f"  {state.value.replace('_', ' '):<10} {number:>10,}")
    click.echo(f"  net {'$' + usd(spend.charged - spend.refunded):>17}")
    if spend.in_doubt:
        click.echo(
            f"  in doubt {'$' + usd(spend.in_doubt):>12}   `batchgen status` lists them, `batchgen resolve` settles"
            " them"
        )
    if bodiless:
        click.echo(
            f"{plural(bodiless, 'purchase')} of items that {printable(str(manifest))} no longer lists, or lists with"
            " another request: kept without the request, and collected like the others"
        )
    if recovered.kept is not None:
        click.echo(f"the previous journal was kept as {recovered.kept}")
