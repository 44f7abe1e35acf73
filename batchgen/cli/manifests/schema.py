"""`batchgen schema`: write the JSON Schemas, or check that those on disk match the catalogue."""

from pathlib import Path

import click

from batchgen.catalog import load_catalog, schema_files
from batchgen.core.files import disk_errors, staged_text


@click.command("schema")
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("schemas"),
    help="The folder to write to or to check (default schemas).",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file differs from the catalogue.")
def command(folder: Path, *, check: bool) -> int:
    """Write the JSON Schemas for manifests and for every model's requests.

    Editors use manifest.schema.json for completion and hints; models/MODEL.schema.json validate the body of a request.
    """
    files = schema_files(load_catalog())
    surplus = sorted(_schemas_below(folder) - set(files))
    if check:
        return _check(folder, files, surplus)
    for name, text in files.items():
        path = folder / name
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with staged_text(path) as out:
            out.write(text)
        click.echo(f"wrote {path}")
    for name in surplus:
        click.echo(f"{folder / name} belongs to no model of the catalogue; delete it unless it is yours", err=True)
    return 0


def _check(folder: Path, files: dict[str, str], surplus: list[str]) -> int:
    found = [f"{folder / name} {fault}" for name, text in files.items() if (fault := _fault(folder / name, text))]
    found += [f"{folder / name} belongs to no model of the catalogue" for name in surplus]
    for line in found:
        click.echo(line)
    if found:
        click.echo(f"run `batchgen schema --output {folder}` to write them again", err=True)
    return 1 if found else 0


def _fault(path: Path, text: str) -> str:
    if not path.is_file():
        return "is missing"
    return "" if path.read_bytes() == text.encode() else "differs from the catalogue"


def _schemas_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("**/*.schema.json")}
