"""`batchgen check`: judges files that no run has got to, and lists the flagged ones."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.options import catalog_option, only_option, run_argument

if TYPE_CHECKING:
    from batchgen.journal.queries.judged import FlaggedFile
    from batchgen.session.judging.checking import CheckedFiles


@click.command("check")
@run_argument
@only_option
@click.option("--all", "again", is_flag=True, help="Judge all files again, not only those that were never judged.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@catalog_option
def command(
    run: str, *, only: tuple[str, ...], again: bool, as_json: bool, output: str | None, catalog: Path | None
) -> int:
    """Judge delivered files by `expect` and by what was ordered, and list those with flags.

    RUN names a run: its folder, its manifest, or its name within the output folder. Files that were judged during the
    run are not judged again. What is expected of an item is what the last `run` found in its manifest. Nothing is
    bought, and the API is not asked.

    Exit 1: something is flagged, or a file could not be judged.
    """
    from batchgen.catalog import load_catalog
    from batchgen.manifest import read_name
    from batchgen.plan.selection import Selection
    from batchgen.session.judging.checking import check_files
    from batchgen.session.locate import find_run

    folder = find_run(run, output, os.environ, read_name)
    kept: list[FlaggedFile] = []
    with _progress() as looked:
        checked = check_files(
            folder, load_catalog(catalog), Selection.parse(only),
            again=again, found=kept.append if as_json else _say, looked=looked,
        )  # fmt: skip
    click.echo(json.dumps(_as_json(checked, kept), indent=2) if as_json else _as_text(checked))
    return 0 if checked.clean else 1


@contextmanager
def _progress() -> Iterator[Callable[[], object]]:
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(unit=" files", leave=False, file=sys.stderr) as bar:
        yield bar.update


def _say(file: "FlaggedFile") -> None:
    from batchgen.core.text import printable

    line = f"{file.item_id}: {printable(file.path)}: {', '.join(file.flags)}"
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(line)  # to stdout, past the bar
    else:
        click.echo(line)


def _as_text(checked: "CheckedFiles") -> str:
    from batchgen.core.text import plural
    from batchgen.core.version import install_hint
    from batchgen.session.judging.flags import found_text

    lines = [f"{reason}: not judged" for reason in checked.unreadable]
    if checked.undecoded:
        lines.append(
            f"{plural(checked.undecoded, 'file')} not judged: that needs the extra `media` ({install_hint('media')})"
        )
    verdict = found_text(checked.flagged) or "nothing is flagged"
    return "\n".join([*lines, f"{checked.run}: {plural(checked.judged, 'file')} judged now; {verdict}"])


def _as_json(checked: "CheckedFiles", files: "list[FlaggedFile]") -> dict[str, object]:
    from batchgen.session.judging.flags import flagged_json

    return {
        "format_version": 1,
        "run": checked.run,
        "judged_files": checked.judged,
        **flagged_json(checked.flagged),
        "undecoded_files": checked.undecoded,
        "unreadable": list(checked.unreadable),
        "files": [
            {"item_id": file.item_id, "output": file.output, "file": file.path, "flags": list(file.flags)}
            for file in files
        ],
    }
