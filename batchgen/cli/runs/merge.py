"""`batchgen merge`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import runs_argument
from batchgen.cli.output import say

if TYPE_CHECKING:
    from batchgen.session.merging import Merged


@click.command("merge")
@runs_argument
@click.option(
    "--into",
    metavar="FOLDER",
    required=True,
    help="The merged run folder: a path, or a name beside the first RUN. Its name is the run's.",
)
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT), in which RUN is looked for.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
def command(*, runs: tuple[str, ...], into: str, output: str | None, as_json: bool, quiet: bool) -> None:
    """Make one run folder of several, such as the shards of a manifest.

    RUN names a run: its folder, its manifest, or its name within the output folder. The merged folder takes over all
    items, purchases, files and picks, and goes on with what is still to be bought or collected. The others keep all
    they hold, and are closed: a later `run` or `collect` in them is refused.

    Nothing is sent and nothing is bought. Repeat the command if it was interrupted, or after a closed folder was
    replaced by a newer copy.
    """
    from batchgen.cli.console import console_host
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run
    from batchgen.session.merging import merge

    if not runs:
        raise click.UsageError("Missing argument 'RUN...': a run folder, a manifest, or the name of a run.")
    folders = [find_run(run, output, os.environ, read_name) for run in runs]
    place = folders[0].parent / into if into == Path(into).name else Path(into)
    if not quiet:
        click.echo(f"merging {', '.join(map(str, folders))}", err=True)
    merged = merge(folders, place, os.environ, console_host(quiet=quiet).listen)
    if as_json:
        click.echo(json.dumps(_as_json(merged), indent=2))
    else:
        say(_as_text(merged))


def _as_text(merged: "Merged") -> str:
    from batchgen.core.text import plural
    from batchgen.session.summary import format_summary

    files, new = merged.files, len(merged.taken)
    of = plural(len(merged.sources), "run folder")
    lines = [f"{merged.folder}: {of} merged" if new else f"{merged.folder}: nothing new in {of}"]
    if placed := files.linked + files.copied:
        how = f" ({files.copied:,} copied, on another disk)" if files.copied else ""
        lines.append(f"{plural(placed, 'file')} placed{how}")
    if files.missing:
        lines.append(f"{plural(files.missing, 'file')} not on disk; `batchgen verify --refetch` downloads what it can")
    return "\n".join([*lines, "", format_summary(merged.summary)])


def _as_json(merged: "Merged") -> dict[str, Any]:
    from batchgen.session.summary import summary_json

    files = merged.files
    return {
        "format_version": 1,
        "folder": str(merged.folder),
        "merged": [{"folder": str(folder), "new": folder in merged.taken} for folder in merged.sources],
        "files": {
            "linked": files.linked,
            "copied": files.copied,
            "already_there": files.there,
            "missing": files.missing,
        },
        "summary": summary_json(merged.summary),
    }
