"""`batchgen validate`: check manifests, offline."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.options import catalog_option, strict_option
from batchgen.cli.output import say
from batchgen.core.errors import ManifestError, Problem, UsageError
from batchgen.core.text import plural, printable, usd, usd_or_null

if TYPE_CHECKING:
    from batchgen.catalog import Catalog

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The result for one manifest."""

    manifest: Path
    items: int
    estimated: Decimal | None
    """USD; None if it is unknown."""
    error: ManifestError | UsageError | None
    """None if it is valid."""
    warnings: Sequence[Problem] = ()
    """Empty if it is refused."""
    more_warnings: int = 0


_Place = tuple[str, str, int, int, str]
"""error or warning, file, line, column (0: the whole line), message."""


@click.command("validate")
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="text for people, json for programs, github for annotations in a workflow (default text).",
)
@strict_option
@catalog_option
def command(manifests: tuple[Path, ...], form: str, *, strict: bool, catalog: Path | None) -> int:
    """Check manifests, offline.

    Shows every problem with its place, or how many items a manifest makes and what they cost. Exits with 2 if a
    manifest is refused. Warnings point to likely mistakes; they refuse a manifest only with --strict.
    """
    from batchgen.catalog import load_catalog

    tables = load_catalog(catalog)
    verdicts = [_verdict(manifest, tables, strict=strict) for manifest in manifests]
    formats: dict[str, Callable[[Sequence[_Verdict]], str]] = {"text": _text, "json": _json, "github": _github}
    (say if form == "text" else click.echo)(formats[form](verdicts))
    return 2 if any(verdict.error is not None for verdict in verdicts) else 0


def _verdict(path: Path, catalog: "Catalog", *, strict: bool) -> _Verdict:
    from batchgen.item_table import estimated_cost
    from batchgen.manifest import load_manifest

    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        table = Path(scratch) / "items.sqlite3"
        try:
            manifest = load_manifest(path, table, catalog, strict=strict)
        except (ManifestError, UsageError) as error:
            return _Verdict(path, 0, Decimal(0), error)
        shown = manifest.warnings
        return _Verdict(path, manifest.items, estimated_cost(table), None, shown.shown, shown.more)


def _text(verdicts: Sequence[_Verdict]) -> str:
    return "\n".join(_as_text(verdict) for verdict in verdicts)


def _as_text(verdict: _Verdict) -> str:
    from batchgen.manifest import Warnings, format_problems, format_warnings

    name = printable(str(verdict.manifest))
    match verdict.error:
        case None:
            warnings = format_warnings(Warnings(tuple(verdict.warnings), verdict.more_warnings))
            return f"{warnings}\n{_worth(verdict)}" if warnings else _worth(verdict)
        case ManifestError() as error:
            return f"{format_problems(error)}\n{name}: {error}"
        case error:
            # It names the manifest itself.
            return printable(str(error), 1000)


def _worth(verdict: _Verdict) -> str:
    name = printable(str(verdict.manifest))
    cost = "unknown" if verdict.estimated is None else f"{usd(verdict.estimated)} USD"
    return f"{name}: {plural(verdict.items, 'item')}, estimated {cost}"


def _json(verdicts: Sequence[_Verdict]) -> str:
    return json.dumps(
        {"format_version": FORMAT_VERSION, "manifests": [_as_json(verdict) for verdict in verdicts]}, indent=2
    )


def _as_json(verdict: _Verdict) -> dict[str, object]:
    places: dict[str, list[dict[str, object]]] = {"error": [], "warning": []}
    for kind, file, line, column, message in _places(verdict):
        places[kind].append({"file": file, "line": line, "column": column, "message": message})
    return {
        "manifest": str(verdict.manifest),
        "valid": verdict.error is None,
        "items": verdict.items,
        "estimated_usd": usd_or_null(verdict.estimated),
        "problems": places["error"],
        "more": verdict.error.more if isinstance(verdict.error, ManifestError) else 0,
        "warnings": places["warning"],
        "more_warnings": verdict.more_warnings,
    }


def _places(verdict: _Verdict) -> list[_Place]:
    match verdict.error:
        case None:
            return [("warning", p.file, p.line, p.column, p.message) for p in verdict.warnings]
        case ManifestError(problems=problems):
            return [("error", p.file, p.line, p.column, p.message) for p in problems]
        case error:
            return [("error", str(verdict.manifest), 1, 0, str(error))]


def _github(verdicts: Sequence[_Verdict]) -> str:
    """Return workflow commands (GitHub Actions documentation, "Workflow commands")."""
    lines = [
        f"::{kind} file={_property(file)},line={line}{f',col={column}' if column else ''}::{_data(message)}"
        for verdict in verdicts
        for kind, file, line, column, message in _places(verdict)
    ]
    return "\n".join(lines + [_worth(verdict) for verdict in verdicts if verdict.error is None])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
