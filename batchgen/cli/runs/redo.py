"""`batchgen redo`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.options import catalog_option, only_option, run_argument

if TYPE_CHECKING:
    from batchgen.redo import Redo
    from batchgen.redo.manifest import Remarks


@click.command("redo")
@run_argument
@click.option("--rejected", is_flag=True, help="Items of which an output was rejected and none was kept.")
@click.option("--flagged", is_flag=True, help="Items with a flagged file, of which no output was kept.")
@only_option
@click.option(
    "--with-sources",
    is_flag=True,
    help="Buy the items once more, too, whose outputs are inputs of these items: with the seeds that they had.",
)
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@catalog_option
def command(
    run: str, *, rejected: bool, flagged: bool, only: tuple[str, ...], with_sources: bool, output: str | None,
    catalog: Path | None,
) -> None:  # fmt: skip
    """Write a manifest that buys rejected or flagged items once more, with new seeds.

    RUN names a run: its folder, its manifest, or its name within the output folder. The manifest is printed: `batchgen
    redo spring --rejected > redo.yaml`, then plan and run it like any other. Its run is called spring-redo-1, and its
    items mug.r1, each with the tags, the parameters and the path of before.

    An item that needs an output of another one is redone together with that one: an output of one run cannot be an
    input of another.
    """
    from contextlib import closing

    from batchgen.catalog import load_catalog
    from batchgen.core.errors import UsageError
    from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
    from batchgen.manifest import read_name
    from batchgen.plan.selection import Selection
    from batchgen.redo import choose, write_manifest
    from batchgen.session.locate import find_run

    if not (rejected or flagged):
        raise UsageError("say what to redo: --rejected, --flagged or both")
    folder = find_run(run, output, os.environ, read_name)
    tables, path = load_catalog(catalog), folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        selection = Selection.parse(only)
        redo = choose(folder, db, selection, rejected=rejected, flagged=flagged, with_sources=with_sources)
        remarks = write_manifest(redo, tables, lambda text: click.echo(text, nl=False))
    _tell(redo, remarks)


def _tell(redo: "Redo", remarks: "Remarks") -> None:
    from batchgen.core.text import plural

    click.echo(f"{redo.name}: {plural(remarks.items, 'item')} of {redo.run}, to be bought once more", err=True)
    if redo.along:
        click.echo(f"{plural(redo.along, 'item')} of these come along as sources, with the seeds they had", err=True)
    for model, count in sorted(remarks.same_request.items()):
        click.echo(f"{model} has no seed: the requests of {plural(count, 'item')} are the same as before", err=True)
    if remarks.path_lost:
        click.echo("the paths of these items follow no one rule: the files go to their new ids", err=True)
