"""Write what SchemaStore wants of a new schema: `make schemastore`, or `python tests/editors/schemastore.py FOLDER`.

Below FOLDER stand the files of its repository that are new (SchemaStore/schemastore, CONTRIBUTING.md): the schema, and
manifests that it accepts and refuses. `entries.json` holds what belongs into its two lists.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAME = "batchgen"
ADDRESS = f"https://www.schemastore.org/{NAME}.json"
ENTRY = {
    "name": "batchgen manifest",
    "description": "Images and videos that batchgen buys",
    "fileMatch": ["*.batchgen.yaml", "*.batchgen.yml"],
    "url": ADDRESS,
}
EDITORS_ONLY = ["markdownDescription", "markdownEnumDescriptions"]
"""Keywords that ajv's strict mode must be told about."""
_MODELINE = re.compile(r"\A# yaml-language-server:.*\n")


def write(folder: Path) -> None:
    """Write all of it below a folder."""
    schema: dict[str, Any] = json.loads((ROOT / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
    _write(folder / "src" / "schemas" / "json" / f"{NAME}.json", _json(schema | {"$id": ADDRESS}))
    for name, examples in (("test", ROOT / "manifests"), ("negative_test", Path(__file__).with_name("wrong"))):
        for path in examples.glob("*.yaml"):
            text = path.read_text(encoding="utf-8")
            _write(folder / "src" / name / NAME / path.name, _MODELINE.sub("", text))
    lists = {
        "src/api/json/catalog.json": ENTRY,
        "src/schema-validation.jsonc": {"options": {f"{NAME}.json": {"unknownKeywords": EDITORS_ONLY}}},
    }
    _write(folder / "entries.json", _json(lists))


def _json(value: object) -> str:
    return f"{json.dumps(value, ensure_ascii=False, indent=2)}\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    write(parser.parse_args().folder)
