"""`batchgen diff`."""

from decimal import Decimal
from pathlib import Path

import click

from batchgen.cli.options import catalog_option


@click.command("diff")
@click.argument("old")
@click.argument("new")
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON, with all items.")
@click.option("--markdown", is_flag=True, help="Print them as Markdown, for a comment on a pull request.")
@click.option("--fail-over", metavar="USD", help="Exit with 1 if the cost rises by more than this.")
def command(old: str, new: str, catalog: Path | None, *, as_json: bool, markdown: bool, fail_over: str | None) -> int:
    """Compare two manifests, offline: items added, gone and changed, and what both cost.

    OLD and NEW are files, or REV:PATH for a file in a revision of git, with the rows and included files of that
    revision. In Markdown, the first line is a hidden marker by which a program finds its earlier comment.
    """
    from batchgen.catalog import load_catalog
    from batchgen.core.errors import UsageError
    from batchgen.diff import as_markdown, as_text, checked_out, compare_manifests, json_lines

    if as_json and markdown:
        raise UsageError("give only one of --json and --markdown")
    limit = None if fail_over is None else _amount(fail_over)
    tables = load_catalog(catalog)
    with (
        checked_out(old) as before,
        checked_out(new) as after,
        compare_manifests(before, after, tables) as comparison,
    ):
        if as_json:
            for line in json_lines(comparison, old, new):
                click.echo(line)
        else:
            click.echo((as_markdown if markdown else as_text)(comparison, old, new))
        return int(limit is not None and comparison.exceeds(limit))


def _amount(text: str) -> Decimal:
    from batchgen.core.errors import UsageError
    from batchgen.settings import BY_NAME, parse_setting

    try:
        return Decimal(str(parse_setting(BY_NAME["max_cost"], text)))
    except ValueError as error:
        raise UsageError(f"--fail-over {error}: {text!r}") from error
