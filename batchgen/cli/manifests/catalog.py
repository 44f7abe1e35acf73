"""`batchgen catalog`: the provider's published reference against the parameter tables."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.manifests.schema import surplus_schemas, write_files
from batchgen.cli.options import catalog_option
from batchgen.core.errors import UsageError
from batchgen.core.text import plural, printable

if TYPE_CHECKING:
    from batchgen.catalog.differences import Difference
    from batchgen.catalog.reference import Reference

FORMAT_VERSION = 1
TABLES = "tables.toml"
_MOST_BYTES = 1_000_000
"""A page of all models has some 20 kB."""

_page_argument = click.argument("page", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))


@click.group("catalog")
def command() -> None:
    """Compare the parameter tables with the provider's published reference, or import it.

    FILE is the published page as text (- for standard input): of all models or of one, folded to one line or not, with
    lists of parameters or with tables. What cannot be read is shown with its place, and nothing is changed (exit 2).
    Only a price rule of unknown form is no fault: the price is then unknown, and the model is not bought.
    """


@command.command("diff")
@_page_argument
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(page: Path, *, catalog: Path | None, as_json: bool) -> int:
    """Compare a published page with the tables.

    Compared are models, parameters, types, options, ranges, lengths, defaults, what is required, and prices;
    descriptions are not. The page of one model says nothing of the others. Exit 1: something differs.
    """
    from batchgen.catalog import load_catalog
    from batchgen.catalog.differences import differences

    tables = load_catalog(catalog)
    reference = _read(page)
    found = differences(tables, reference)
    click.echo(_json(page, tables.version, reference, found) if as_json else _text(page, reference, found))
    return 1 if found else 0


@command.command("import")
@_page_argument
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("catalog"),
    help="The folder for the tables and the schemas (default catalog).",
)
@catalog_option
def import_(page: Path, *, folder: Path, catalog: Path | None) -> None:
    """Write tables and schemas from a published page.

    The tables go to tables.toml in the output folder, the schemas to the folder schemas beside it. Descriptions, units
    and examples of the present tables are kept, and so are the other models where the page is of one model alone.

    The shipped tables stay as they are: use the new ones with --catalog or BATCHGEN_CATALOG.
    """
    from batchgen.catalog import load_catalog, read_catalog, schema_files
    from batchgen.catalog.importing import imported
    from batchgen.catalog.tables_file import SHIPPED
    from batchgen.catalog.tables_text import tables_text

    present = load_catalog(catalog)
    reference = _read(page)
    target = folder / TABLES
    if target.resolve() == SHIPPED.resolve():
        raise UsageError(f"{target} are the shipped tables; give another folder with --output")
    tables = imported(reference, present)
    text = tables_text(tables)
    try:
        read_catalog(text)
    except ValueError as error:
        raise UsageError(f"{page}: no valid tables can be made of it: {printable(str(error))}") from error
    schemas = folder / "schemas"
    # The tables last: if the disk is full, those that were there before are still whole.
    files = schema_files(tables)
    write_files(schemas, files)
    write_files(folder, {TABLES: text})
    click.echo(f"wrote {target}: {plural(len(tables.models), 'model')}, version {tables.version}")
    click.echo(f"wrote {plural(len(files), 'schema')} to {schemas}")
    for line in [*_unknown_prices(page, reference), *surplus_schemas(schemas, files)]:
        click.echo(line, err=True)
    click.echo(f"use them with --catalog {target} or BATCHGEN_CATALOG={target}")


def _read(page: Path) -> "Reference":
    from batchgen.catalog.reference import read_reference

    try:
        with click.open_file(str(page), "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {page}: {error.strerror or type(error).__name__}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{_name(page)} is not UTF-8 text (at byte {error.start})") from error
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{_name(page)} is larger than {_MOST_BYTES:,} bytes, too large for a published page")
    return read_reference(text, _name(page))


def _name(page: Path) -> str:
    return "standard input" if str(page) == "-" else str(page)


# ---- for people --------------------------------------------------------------------------------------------------


def _text(page: Path, reference: "Reference", found: "list[Difference]") -> str:
    lines = [_line(page, one) for one in found]
    lines += _unknown_prices(page, reference)
    scope = plural(len(reference.models), "model") if reference.complete else "the one model of this page"
    lines.append(f"{plural(len(found), 'difference')} in {scope}" if found else f"no difference in {scope}")
    return "\n".join(lines)


def _line(page: Path, one: "Difference") -> str:
    place = f":{one.place.line}:{one.place.column}" if one.place is not None else ""
    subject = one.model if one.parameter is None else f"{one.model}: {one.parameter}"
    return f"{printable(_name(page))}{place}: {printable(subject)}: {printable(one.text, 2000)}"


def _unknown_prices(page: Path, reference: "Reference") -> list[str]:
    lines = []
    for model_id, told in reference.models.items():
        if told.unknown_price is not None:
            place = told.places.get("Pricing", told.places["Model id"])
            where = f"{printable(_name(page))}:{place.line}:{place.column}"
            lines.append(f"{where}: warning: {model_id}: the price stays unknown: {printable(told.unknown_price)}")
    return lines


# ---- for programs ------------------------------------------------------------------------------------------------


def _json(page: Path, version: str, reference: "Reference", found: "list[Difference]") -> str:
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "page": _name(page),
        "tables": version,
        "complete": reference.complete,
        "differences": [
            {
                "model": one.model,
                "parameter": one.parameter,
                "kind": one.kind,
                "what": one.what or None,
                "before": one.before,
                "after": one.after,
                "line": one.place.line if one.place is not None else None,
                "column": one.place.column if one.place is not None else None,
            }
            for one in found
        ],
        "unknown_prices": [
            {"model": model_id, "reason": told.unknown_price}
            for model_id, told in reference.models.items()
            if told.unknown_price is not None
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)
