"""The parts of the reference that are made from the program: `<!-- generated: NAME -->` in a page stands for one.

Each function of `PARTS` returns Markdown. Nothing of it is checked in, so it cannot drift from the program.
"""

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import batchgen
from batchgen.catalog import Catalog, load_catalog, manifest_schema
from batchgen.catalog.prices import price_text
from batchgen.cli.helping import examples_of
from batchgen.cli.root import COMMANDS, commands
from batchgen.core import errors, records
from batchgen.core.records import State
from batchgen.ledger.columns import MEANINGS
from batchgen.page.overview import FLAGS
from batchgen.policy.stopping import Stop
from batchgen.settings import SETTINGS, Settings
from batchgen.standing.exit_codes import EXIT_CODES
from batchgen.standing.next_steps import Situation, next_steps

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)


for _name in batchgen.__all__:  # they are loaded when they are first used, and autodoc does not use them
    setattr(batchgen, _name, getattr(batchgen, _name))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown; cells may hold `|` and line breaks."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *map(list, rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip()).replace("|", "\\|").replace("<", "&lt;")


def code(text: object) -> str:
    """Return text as inline code."""
    return f"`{text}`" if str(text) else ""


def docs_of(source: str, name: str) -> dict[str, str]:
    """Return the docstrings of the attributes of a class, by the attribute's name."""
    found = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef) and node.name == name)
    docs = {}
    for node, following in zip(found.body, found.body[1:], strict=False):
        if (
            isinstance(node, ast.Assign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            docs[ast.unparse(node.targets[0])] = str(following.value.value)
    return docs


def _source(module: Any) -> str:
    return Path(module.__file__).read_text(encoding="utf-8")


# ---- commands ----------------------------------------------------------------------------------------------------


def command_table() -> str:
    """All commands, each with its first line of help."""
    return table(
        ("command", "does"), ((f"[`batchgen {name}`](#batchgen-{name})", text) for name, text in COMMANDS.items())
    )


def command_reference() -> str:
    """All commands with their arguments, options and examples, as `--help` knows them."""
    with commands.make_context("batchgen", [], resilient_parsing=True) as context:
        return "\n".join(_command(context, name, 2) for name in COMMANDS)


def _command(parent: click.Context, name: str, level: int) -> str:
    group = parent.command
    assert isinstance(group, click.Group)
    command = group.get_command(parent, name)
    assert command is not None
    with click.Context(command, info_name=name, parent=parent) as context:
        usage = command.get_usage(context).removeprefix("Usage: ")
        parts = [f"{'#' * level} {context.command_path}\n", f"```text\n{usage}\n```\n", _help(command.help or "")]
        if options := list(_options(command, context)):
            parts.append(table(("option", "meaning"), options))
        if isinstance(command, click.Group):
            parts += [_command(context, below, level + 1) for below in command.list_commands(context)]
        elif examples := examples_of(context.command_path.removeprefix("batchgen ")):
            parts.append(_help(examples))
    return "\n".join(parts)


def _help(text: str) -> str:
    """Return help as Markdown: a paragraph marked with \\b keeps its lines."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        kept = paragraph.strip().startswith("\b")
        body = paragraph.strip().removeprefix("\b").strip("\n")
        paragraphs.append(f"```text\n{body}\n```" if kept else re.sub(r"\s*\n\s*", " ", body).replace("<", "&lt;"))
    return "\n\n".join(paragraphs) + "\n"


def _options(command: click.Command, context: click.Context) -> Iterable[tuple[str, str]]:
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield code(record[0]), record[1]


# ---- manifests ---------------------------------------------------------------------------------------------------


def manifest_keys() -> str:
    """The keys at the top of a manifest, from its schema."""
    schema = manifest_schema(load_catalog())
    rows = (
        (code(key), _type(value), _described(schema, value), "yes" if key in schema["required"] else "")
        for key, value in schema["properties"].items()
    )
    return table(("key", "type", "meaning", "required"), rows)


def item_keys() -> str:
    """The keys of an item that are not parameters of its model, from the schema."""
    schema = manifest_schema(load_catalog())
    definitions = schema["definitions"]
    own = [key for key in next(_models(schema))["properties"] if key in definitions]
    return table(
        ("key", "type", "meaning", "example"),
        (
            (code(key), _type(definitions[key]), _described(schema, definitions[key]), _example(definitions[key]))
            for key in own
        ),
    )


def expect_keys() -> str:
    """The checks of `expect`, from the schema."""
    checks = manifest_schema(load_catalog())["definitions"]["expect"]["properties"]
    return table(
        ("check", "type", "meaning"), ((code(k), _type(v), _first(v.get("description", ""))) for k, v in checks.items())
    )


def _models(schema: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from (schema["definitions"][model.id] for model in load_catalog().models.values())


def _described(schema: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    if "description" in value:
        return _first(value["description"])
    for option in value.get("anyOf", []):
        if "$ref" in option:
            return _described(schema, schema["definitions"][option["$ref"].rpartition("/")[2]])
    return ""


def _first(text: str) -> str:
    return text.split("\n\n", maxsplit=1)[0]


def _example(value: Mapping[str, Any]) -> str:
    import json

    examples = value.get("examples", [])
    return code(json.dumps(examples[0], ensure_ascii=False)) if examples else ""


def _type(value: Mapping[str, Any]) -> str:
    if "const" in value:
        return code(value["const"])
    if any("$ref" in option for option in value.get("anyOf", [])):
        return "map"
    kinds = value.get("type", [option.get("type") for option in value.get("anyOf", [])])
    names = [kinds] if isinstance(kinds, str) else [kind for kind in kinds if isinstance(kind, str)]
    said = {"object": "map", "array": "list", "string": "text"}
    return " or ".join(dict.fromkeys(said.get(kind, kind) for kind in names if kind != "null"))


def models() -> str:
    """Every model with its parameters and prices, from the parameter tables."""
    catalog: Catalog = load_catalog()
    parts = []
    for model in catalog.models.values():
        rows = (
            (
                code(parameter.name),
                parameter.expected(),
                code(str(parameter.default).lower() if isinstance(parameter.default, bool) else parameter.default)
                if parameter.default is not None
                else "",
                parameter.description,
                "yes" if parameter.required else "",
            )
            for parameter in model.parameters
        )
        head = ("parameter", "must be", "default", "meaning", "required")
        parts.append(f"## {model.id}\n\n{model.description} Price: {price_text(model)}.\n\n{table(head, rows)}")
    return "\n".join(parts)


# ---- settings, states, exit codes, errors, ledger ----------------------------------------------------------------


def settings() -> str:
    """The settings of a run, with the three ways to give each."""
    known = Settings()
    return table(
        ("manifest", "flag", "variable", "default", "meaning"),
        (
            (
                code(setting.name),
                code(setting.option) if setting.flag else "",
                code(setting.variable),
                ""
                if (value := getattr(known, setting.name)) is None
                else code(format(value, "g") if isinstance(value, float) else value),
                setting.help,
            )
            for setting in SETTINGS
        ),
    )


def states() -> str:
    """The states of an item."""
    docs = docs_of(_source(records), "State")
    return table(("state", "meaning"), ((code(state.value), docs[state.name]) for state in State))


def exit_codes() -> str:
    """The exit codes, with what to do about each."""
    return table(("exit code", "what happened", "what to do"), ((code(x.code), x.meaning, x.cure) for x in EXIT_CODES))


def stops() -> str:
    """The reasons why a run stops, with what continues it."""
    rows = {}
    for stop in Stop:
        waiting = int(stop is Stop.WAITING_FOR_PICK)
        now = Situation(
            folder=Path("RUN"),
            command="batchgen run MANIFEST",
            counts={State.PENDING: 1},
            stopped_because=stop.word,
            waiting=waiting,
        )
        rows[stop.word] = (code(stop.word), code(stop.exit_code), next_steps(now)[0].text)
    return table(("`stopped_because`", "exit code", "what to do"), rows.values())


def error_tree() -> str:
    """The errors that a user can meet, from the error tree, with the exit code of each."""
    rows = []
    for name in batchgen.__all__:
        kind = getattr(batchgen, name)
        if isinstance(kind, type) and issubclass(kind, errors.BatchgenError):
            exits = "" if kind is errors.BatchgenError else code(errors.exit_code_of(kind.__new__(kind)))
            rows.append((code(f"batchgen.{name}"), _first(kind.__doc__ or ""), exits))
    return table(("error", "meaning", "exit code"), rows)


def ledger_columns() -> str:
    """The columns of the ledger, in their order."""
    return table(("column", "holds"), ((code(name), meaning) for name, meaning in MEANINGS.items()))


def flags() -> str:
    """The flags of outputs."""
    return table(("flag", "the file is"), ((code(name), meaning) for name, meaning in FLAGS.items()))


PARTS: Mapping[str, Callable[[], str]] = {
    "command-table": command_table,
    "commands": command_reference,
    "manifest-keys": manifest_keys,
    "item-keys": item_keys,
    "expect-keys": expect_keys,
    "models": models,
    "settings": settings,
    "states": states,
    "exit-codes": exit_codes,
    "stops": stops,
    "errors": error_tree,
    "ledger-columns": ledger_columns,
    "flags": flags,
}


def filled(text: str) -> str:
    """Return a page with its generated parts put in; raises KeyError for a part that there is not."""
    return _MARK.sub(lambda mark: PARTS[mark[1]](), text)


def _without_making(
    _app: "Sphinx", what: str, _name: str, _obj: object, _options: object, signature: str | None, _returns: object
) -> tuple[str, str] | None:
    """Leave out how a value is made: batchgen makes them itself."""
    return ("", "") if signature and what in ("class", "exception") else None


def setup(app: "Sphinx") -> dict[str, Any]:
    """Have every page filled as it is read."""

    def fill(_app: "Sphinx", _name: str, content: list[str]) -> None:
        content[0] = filled(content[0])

    app.connect("source-read", fill)
    app.connect("autodoc-process-signature", _without_making)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
