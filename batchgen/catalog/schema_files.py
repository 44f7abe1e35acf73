"""The schemas as the files that are checked in and published."""

import json

from batchgen.catalog.manifest_schema import manifest_schema
from batchgen.catalog.request_schemas import Schema, request_schema
from batchgen.catalog.tables import Catalog


def schema_files(catalog: Catalog) -> dict[str, str]:
    """Return every schema file: its path below `schemas/`, with `/`, and its text."""
    files = {"manifest.schema.json": _text(manifest_schema(catalog))}
    for model in catalog.models.values():
        files[f"models/{model.id}.schema.json"] = _text(request_schema(model))
    return files


def _text(schema: Schema) -> str:
    return f"{json.dumps(schema, ensure_ascii=False, indent=2)}\n"
