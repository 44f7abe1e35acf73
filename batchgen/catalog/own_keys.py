"""The JSON Schemas of the keys that are an item's own, and no parameters of its model."""

from batchgen.catalog.request_schemas import Schema
from batchgen.expect import CHECKS, Check

TEMPLATE: Schema = {"type": "string", "pattern": r"\$\{"}
# Not a list of types: ajv's strict mode refuses any list beyond one type and null.
SCALAR: Schema = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
SCALAR_OR_NULL: Schema = {"anyOf": [*SCALAR["anyOf"], {"type": "null"}]}


def own_keys() -> Schema:
    """Return the definitions of an item's own keys, which are not parameters."""
    keys: Schema = {
        "id": {
            "description": "Names the item and its files; ids must differ in more than upper and lower case. Derived"
            " from the prompt if left out.",
            "type": "string",
            "pattern": f"^[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}$|{TEMPLATE['pattern']}",
            "examples": ["kettle", "${dish}-${season}"],
        },
        "tags": {
            "description": "Labels for grouping costs; each becomes a column tag_NAME of the ledger.",
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"},
            "additionalProperties": SCALAR_OR_NULL,
            "examples": [{"client": "harbour-cafe"}],
        },
        **_multiplying_keys(),
        "rows": {
            "description": "A file with one item per row, relative to the manifest; its columns are variables.",
            "type": "string",
            "pattern": r"\.([cC][sS][vV]|[tT][sS][vV]|[jJ][sS][oO][nN][lL]|[tT][xX][tT])$",
            "examples": ["prompts/products.csv"],
        },
        "limit": {
            "description": "Read at most this many rows.",
            "type": "integer",
            "minimum": 1,
            "examples": [100],
        },
        "sample": {
            "description": "Keep so many of the items that rows and matrix make, drawn by their ids: the same ones in"
            " each run.",
            "type": "integer",
            "minimum": 1,
            "examples": [50],
        },
        "priority": {
            "description": "Higher ones are bought first; 0 if left out. What an item needs is at least as urgent.",
            **or_template(
                "priority", "a whole number", {"type": "integer", "minimum": -1_000_000, "maximum": 1_000_000}
            ),
            "examples": [10],
        },
        "expect": _expect(),
        "redo_of": {
            "description": "The earlier purchase that this item intentionally repeats; no question is asked about it.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "run": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
                "item": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._~-]{0,149}$"},
            },
            "required": ["run", "item"],
            "examples": [{"run": "spring", "item": "mug"}],
        },
    }
    return titled(keys)


def _expect() -> Schema:
    return {
        "description": "What is checked of the files that are delivered. A miss is a flag in ledger and report; it"
        " neither buys nor refunds anything. An item's own checks override those of defaults, one by one; null turns"
        " one off.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            check.name: {
                "title": check.name,
                "description": sentence(check.help),
                **alternatives(check.name, ("its value", _check(check)), ("turned off", {"type": "null"})),
            }
            for check in CHECKS.values()
        },
        "examples": [{"min_side": 1024, "blank": False, "unlike": 6}],
    }


def _check(check: Check) -> Schema:
    match check.kind:
        case "truth":
            return {"type": "boolean"}
        case "count":
            return {"type": "integer", "minimum": 1, "maximum": check.most}
        case "seconds":
            return {"type": "number", "exclusiveMinimum": 0, "maximum": check.most}


def _multiplying_keys() -> Schema:
    """Return the definitions of the keys that make several items from one entry, except for rows."""
    scalar_map: Schema = {"type": "object", "additionalProperties": SCALAR}
    return {
        "matrix": {
            "description": "Variables and their values; one item for each combination. A list of maps sets several"
            " variables with each choice.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [*SCALAR["anyOf"], {"type": "object", "additionalProperties": SCALAR}]},
            },
            "examples": [{"season": ["spring", "autumn"], "ratio": ["1:1", "3:4"]}],
        },
        "exclude": {
            "description": "Combinations of the matrix to leave out.",
            "type": "array",
            "items": {**scalar_map, "minProperties": 1},
            "examples": [[{"season": "autumn", "ratio": "1:1"}]],
        },
        "seeds": {
            "description": "A number: that many items, each with a seed derived from its id. A list: one item for"
            " each seed.",
            **alternatives(
                "seeds",
                ("how many", {"type": "integer", "minimum": 1}),
                ("the seeds", {"type": "array", "minItems": 1, "items": {"type": "integer"}}),
            ),
            "examples": [4, [1, 2, 3]],
        },
        "repeat": {
            "description": "The same request, bought this many times: ID~1, ID~2, …",
            "type": "integer",
            "minimum": 1,
            "examples": [3],
        },
    }


def sentence(text: str) -> str:
    """Return a help text as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def titled(properties: Schema) -> Schema:
    """Return schemas of keys, each with its key as the title."""
    return {name: {"title": name, **schema} for name, schema in properties.items()}


def alternatives(name: str, *kinds: tuple[str, Schema]) -> Schema:
    """Return a schema that admits several kinds of value of the key `name`, each titled by what is expected.

    An editor that finds two kinds under the same title takes both for the one that was written.
    """
    return {"anyOf": [{"title": f"{name}: {expected}", **schema} for expected, schema in kinds]}


def or_template(name: str, expected: str, *schemas: Schema) -> Schema:
    """Return a schema of the key `name` that also admits a text with a variable in it, also for each entry of a list.

    `expected` says in words what the schemas admit.
    """
    if len(schemas) == 1 and _is_text(schemas[0]):
        return _text_or_template(schemas[0])
    kinds = [
        schema | {"items": or_template(name, expected, schema["items"])} if schema.get("type") == "array" else schema
        for schema in schemas
    ]
    kinds = [_text_or_template(schema) if _is_text(schema) else schema for schema in kinds]
    if not any(map(_is_text, schemas)):
        kinds.append(TEMPLATE)
    # Where both `null` and a variable are admitted, they share a title: see `alternatives`.
    plain = ({"type": "null"}, TEMPLATE)
    return {"anyOf": [{"title": name if kind in plain else f"{name}: {expected}", **kind} for kind in kinds]}


def _is_text(schema: Schema) -> bool:
    """Whether a schema admits any text that is not too long, and so one with variables too."""
    return schema["type"] == "string" and "enum" not in schema and schema.get("pattern", r"\S") == r"\S"


def _text_or_template(schema: Schema) -> Schema:
    """Return the schema of a text that may be longer as long as it has variables in it."""
    if "maxLength" not in schema:
        return schema
    limits = {name: value for name, value in schema.items() if name != "maxLength"}
    return limits | {"if": {"pattern": TEMPLATE["pattern"]}, "else": {"maxLength": schema["maxLength"]}}
