"""`batchgen report`."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.options import run_argument

if TYPE_CHECKING:
    from batchgen.report.writer import Report
    from batchgen.thumbnails import Thumbnails


@click.command("report")
@run_argument
@click.option("--no-thumbnails", is_flag=True, help="Make no thumbnails: the page then shows the files themselves.")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: str, *, no_thumbnails: bool, output: str | None, as_json: bool) -> None:
    """Write the report of a run: a page with a gallery, costs, failures and charts.

    RUN names a run: its folder, its manifest, or its name within the output folder. The page is report.html in the run
    folder; it needs no network. Keep it beside `files/`, `thumbs/` and, for large runs, `report/`. A run writes it at
    its end; this writes it again, also while the run goes on, and makes the thumbnails that are missing.
    """
    from batchgen.core.errors import UsageError
    from batchgen.manifest import read_name
    from batchgen.report import missing_extra
    from batchgen.report.writer import write_report
    from batchgen.session.locate import find_run

    if hint := missing_extra():
        raise UsageError(f"a report needs an extra: {hint}")
    folder = find_run(run, output, os.environ, read_name)
    thumbnails = None if no_thumbnails else _make_thumbnails(folder)
    report = write_report(folder)
    click.echo(json.dumps(_as_json(report, thumbnails), indent=2) if as_json else _as_text(report, thumbnails))


def _make_thumbnails(folder: Path) -> "Thumbnails":
    from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
    from batchgen.journal.queries.report_rows import facts_of, file_count, file_rows
    from batchgen.store import at_hand, store_of
    from batchgen.thumbnails import make_thumbnails

    path = folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path), _progress(file_count(db)) as looked:
        store = store_of(folder, facts_of(db))
        files = ((folder / row.file.path, row.file.sha256) for row in file_rows(db))
        return make_thumbnails(
            folder, files, looked, lambda file: at_hand(store, folder, file.relative_to(folder).as_posix())
        )


@contextmanager
def _progress(files: int) -> Iterator[Callable[[], object]]:
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=files, unit=" thumbnails", leave=False, file=sys.stderr) as bar:
        yield bar.update


def _as_text(report: "Report", thumbnails: "Thumbnails | None") -> str:
    from batchgen.core.text import plural, printable

    lines = []
    if thumbnails is not None:
        lines += [
            f"{plural(files, 'file')} without a thumbnail: {printable(reason)}"
            for reason, files in thumbnails.failed.items()
        ]
    if report.items < report.of:
        lines.append(
            f"shows {report.items:,} of {report.of:,} items: what failed, was flagged or picked, and a sample of the"
            " rest; `batchgen view` shows every one"
        )
    return "\n".join([*lines, f"report {report.path}"])


def _as_json(report: "Report", thumbnails: "Thumbnails | None") -> dict[str, object]:
    made = None
    if thumbnails is not None:
        made = {"made": thumbnails.made, "there": thumbnails.there, "failed": dict(thumbnails.failed)}
    return {
        "format_version": 1,
        "report": str(report.path),
        "shown": report.items,
        "items": report.of,
        "thumbnails": made,
    }
