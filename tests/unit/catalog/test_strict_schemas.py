"""The schemas compile where an engine is strict: the rules of ajv's `strict: true` (ajv.js.org/strict-mode.html)."""

from collections.abc import Iterator
from typing import Any

import pytest

from batchgen.catalog import load_catalog, manifest_schema, request_schema

CATALOG = load_catalog()
SCHEMAS = {"manifest": manifest_schema(CATALOG)} | {m.id: request_schema(m) for m in CATALOG.models.values()}

NOTES = {"$schema", "$id", "title", "description", "examples", "definitions"}
FOR_EDITORS = {"markdownDescription", "markdownEnumDescriptions"}
"""Keywords of editors, which a strict engine must be told about: in the manifest's schema alone, since bodies are
checked by programs."""
APPLICATORS = {"if", "then", "else", "not", "allOf", "anyOf"}
OF_ANY = {"const", "enum", "type", "$ref"}
OF_TYPE = {
    "minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "pattern": "string",
    "minLength": "string", "maxLength": "string",
    "items": "array", "minItems": "array", "maxItems": "array", "properties": "object", "required": "object",
    "additionalProperties": "object", "propertyNames": "object", "minProperties": "object",
}  # fmt: skip


def parts(
    schema: Any, place: str, types: frozenset[str] = frozenset(), names: frozenset[str] = frozenset()
) -> Iterator[str]:
    """What strict mode has against a schema; `types` and `names`: what is known already of the value it judges."""
    if isinstance(schema, bool):
        return
    for keyword in schema.keys() - NOTES - APPLICATORS - OF_ANY - OF_TYPE.keys():
        yield f"{place}: unknown keyword {keyword}"
    given = schema.get("type", [])
    own = frozenset([given] if isinstance(given, str) else given)
    if len(own - {"null"}) > 1:
        yield f"{place}: a union of types"
    types = own or types
    for keyword in schema.keys() & OF_TYPE.keys():
        wanted = OF_TYPE[keyword]
        if wanted not in types and not (wanted == "number" and "integer" in types):
            yield f"{place}: {keyword} without type {wanted}"
    names |= schema.get("properties", {}).keys()
    for name in set(schema.get("required", ())) - names:
        yield f"{place}: requires {name}, which is not defined"
    if "if" in schema and not schema.keys() & {"then", "else"}:
        yield f"{place}: if without then or else"
    for keyword in schema.keys() & APPLICATORS:
        inner = schema[keyword] if isinstance(schema[keyword], list) else [schema[keyword]]
        for n, entry in enumerate(inner):
            yield from parts(entry, f"{place}/{keyword}/{n}", types, names)
    for keyword in schema.keys() & {"items", "additionalProperties"}:
        yield from parts(schema[keyword], f"{place}/{keyword}")
    if "propertyNames" in schema:
        yield from parts(schema["propertyNames"], f"{place}/propertyNames", frozenset({"string"}))
    for keyword in schema.keys() & {"properties", "definitions"}:
        for name, entry in schema[keyword].items():
            yield from parts(entry, f"{place}/{keyword}/{name}")


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_for_strict_engines(name: str) -> None:
    known = FOR_EDITORS if name == "manifest" else set()
    found = [fault for fault in parts(SCHEMAS[name], "#") if fault.rsplit(" ", 1)[-1] not in known]
    assert found == []
