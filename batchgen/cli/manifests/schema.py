"""`batchgen schema`: write the JSON Schemas, print one, or check that those on disk match the catalogue."""

from collections.abc import Mapping
from pathlib import Path

import click

from batchgen.catalog import Catalog, load_catalog, schema_files
from batchgen.cli.manifests.models import model_ids, named_model
from batchgen.cli.options import catalog_option
from batchgen.core.errors import UsageError
from batchgen.core.files import disk_errors, staged_text

_MANIFEST = "manifest"


@click.command("schema")
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("schemas"),
    help="The folder to write to or to check (default schemas).",
)
@catalog_option
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file differs from the catalogue.")
@click.option(
    "--print",
    "printed",
    metavar="[MODEL]",
    is_flag=False,
    flag_value=_MANIFEST,
    shell_complete=lambda *given: [name for name in (_MANIFEST, *model_ids("")) if name.startswith(given[-1])],
    help="Write no file; print the schema of manifests, or of a MODEL's requests.",
)
def command(folder: Path, *, check: bool, printed: str | None, catalog: Path | None) -> int:
    """Write the JSON Schemas for manifests and for every model's requests.

    Editors use manifest.schema.json for completion and hints; models/MODEL.schema.json validate the body of a request.
    """
    tables = load_catalog(catalog)
    files = schema_files(tables)
    if printed is not None:
        if check:
            raise UsageError("--print and --check exclude each other")
        click.echo(files[_name_of(tables, printed)], nl=False)
        return 0
    if check:
        return _check(folder, files)
    write_files(folder, files)
    for name in files:
        click.echo(f"wrote {folder / name}")
    for line in surplus_schemas(folder, files):
        click.echo(f"{line}; delete it unless it is yours", err=True)
    return 0


def _name_of(catalog: Catalog, what: str) -> str:
    """Return which file has the schema of `manifest`, or of a model. Raises UsageError if there is no such model."""
    return "manifest.schema.json" if what == _MANIFEST else f"models/{named_model(catalog, what).id}.schema.json"


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts to their paths below a folder; each replaces an earlier one only when it is complete."""
    for name, text in files.items():
        path = folder / name
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with staged_text(path) as out:
            out.write(text)


def surplus_schemas(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return, a sentence each, which schemas in a folder are of models that the catalogue does not have."""
    found = {path.relative_to(folder).as_posix() for path in folder.glob("**/*.schema.json")}
    return [f"{folder / name} belongs to no model of the catalogue" for name in sorted(found - set(files))]


def _check(folder: Path, files: dict[str, str]) -> int:
    found = [f"{folder / name} {fault}" for name, text in files.items() if (fault := _fault(folder / name, text))]
    found += surplus_schemas(folder, files)
    for line in found:
        click.echo(line)
    if found:
        click.echo(f"run `batchgen schema --output {folder}` to write them again", err=True)
    return 1 if found else 0


def _fault(path: Path, text: str) -> str:
    if not path.is_file():
        return "is missing"
    return "" if path.read_bytes() == text.encode() else "differs from the catalogue"
