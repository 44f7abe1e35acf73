"""`batchgen init`: write a starter manifest."""

import os
import shlex
from pathlib import Path
from string import Template

import click

from batchgen.cli.options import catalog_option
from batchgen.cli.output import say
from batchgen.core.errors import UsageError
from batchgen.core.files import disk_errors, staged_text

_SCHEMA = "manifest.schema.json"

_STARTER = Template("""\
# yaml-language-server: $$schema=$schema
#
# Check it:        batchgen validate $manifest
# See the cost:    batchgen plan $manifest
# Try it for free: batchgen run $manifest --simulate   (pretend money, in $output/$name.simulated)
# Buy:             batchgen run $manifest              (real money, in $output/$name)
#
# Run the same command to continue: only what is missing is bought. An edited item is a new purchase.
# Prompts and reference images must be lawful, and the people they show must have given their consent.
version: 1
name: $written

run:
  concurrency: 4                  # jobs in flight at the provider at the same time
  max_cost: 5.00                  # USD; cap on everything this run folder ever costs

tags: {project: trial}            # for grouping costs; each becomes a column of the ledger

defaults:                         # an item's own value wins
  model: hera-1.0-text-to-image   # `batchgen models` lists the models, their parameters and prices

model_defaults:                   # for one model's items only
  hera-1.0-text-to-image: {resolution: 1k}

items:
  # The API's parameters are written beside the item's own keys: id, tags, matrix, seeds, repeat, rows.
  - id: teapot
    prompt: A round blue teapot on a wooden table, morning light
    aspect_ratio: 4:3

  # One item for each combination of the variables.
  - id: kite-$${colour}
    matrix:
      colour: [red, yellow]
    prompt: A $${colour} kite over a wheat field, late sun, wide shot

  # Another model. Two items, tide~1 and tide~2, each with its own seed.
  - id: tide
    prompt: The tide runs out over rippled sand, seen from above
    model: centaurus-1.0-text-to-video
    duration: 2
    seeds: 2

  # One item for each row of a file (.csv, .tsv, .jsonl or .txt). The columns are variables.
  # - rows: prompts/products.csv
  #   id: $${sku}
  #   prompt: Studio photograph of $${product}, white background
  #   limit: 100
""")


@click.command("init")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default=Path("manifest.yaml"))
@catalog_option
def command(path: Path, *, catalog: Path | None) -> None:
    """Write a commented starter manifest to PATH (default manifest.yaml); nothing is overwritten.

    The run is named after the file. The manifest's first line tells editors where the schema is: in the nearest folder
    `schemas` beside or above PATH, or else in manifest.schema.json, which is written beside the manifest.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists already; give another name, or move the file away")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}; create it first")
    name = _name_for(path)
    schema = _schema_above(path) or _written_schema(path, catalog)
    typed = shlex.quote(str(path))
    starter = _STARTER.substitute(
        schema=schema, manifest=typed, name=name, written=_written_name(name), output=_shown_output(path)
    )
    _write(path, starter)
    click.echo(f"wrote {path}")
    say(f"next: see what it costs, or try it for free:\n  batchgen plan {typed}\n  batchgen run {typed} --simulate")


def _shown_output(path: Path) -> str:
    """Return the output folder of a manifest, as it is seen from the working directory."""
    from batchgen.session.locate import output_folder

    folder = output_folder(path, None, os.environ)
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def _name_for(path: Path) -> str:
    """Return a name for the run, derived from the file name. Raises UsageError if a run of that name exists."""
    from batchgen.session.locate import is_run, output_folder, simulated_name
    from batchgen.settings import fit_run_name

    name = fit_run_name(path.stem.removesuffix(".batchgen")) or "starter"
    output = output_folder(path, None, os.environ)
    for folder in (output / name, output / simulated_name(name)):
        if is_run(folder):
            raise UsageError(
                f"the run of {path} would be named {name}, but {folder} already holds a run, which it would continue:"
                " give another file name"
            )
    return name


def _written_name(name: str) -> str:
    """Return a name as YAML: in quotes where it would be read as a number or a word of YAML's own."""
    return name if name[0].isalpha() and name not in ("true", "false", "null") else f'"{name}"'


def _schema_above(path: Path) -> str | None:
    """Return the path from the manifest to the schema in the nearest folder `schemas`; None if there is none."""
    for depth, folder in enumerate(path.absolute().parents):
        if (folder / "schemas" / _SCHEMA).is_file():
            return f"{'../' * depth or './'}schemas/{_SCHEMA}"
    return None


def _written_schema(path: Path, catalog: Path | None) -> str:
    """Write the schema beside the manifest, unless one is there, and return its path."""
    from batchgen.catalog import load_catalog, schema_files

    beside = path.with_name(_SCHEMA)
    if not beside.exists():
        _write(beside, schema_files(load_catalog(catalog))[_SCHEMA])
        click.echo(f"wrote {beside}, for editors")
    return f"./{_SCHEMA}"


def _write(path: Path, text: str) -> None:
    with disk_errors(path), staged_text(path) as out:
        out.write(text)
