"""The manifest's top-level keys except `items`: checked, with their places kept for problems of the items."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from batchgen.catalog import BodyChecker, Catalog, nearest
from batchgen.core.errors import UsageError
from batchgen.core.text import printable
from batchgen.manifest.entry.expectations import EXPECT, read_checks
from batchgen.manifest.item.any_model import unknown_parameter
from batchgen.manifest.item.paths import DEFAULT_PATH, PathError, PathTemplate, read_path
from batchgen.manifest.template import has_variables
from batchgen.manifest.yaml.nodes import List, Map
from batchgen.manifest.yaml.problems import Mark, Problems
from batchgen.manifest.yaml.scalars import whole
from batchgen.settings import BY_NAME, RUN_NAME, parse_setting
from batchgen.store.pictures import check_assets

INCLUDE = "include"
KEYS = ("version", "name", "description", "include", "run", "tags", "defaults", "model_defaults", "items")
_BOUGHT = "bought"
_ASSETS = "assets"
_TAG_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class TopLevelValue:
    """A top-level key's value, and the places of both."""

    value: Any
    key_mark: Mark
    mark: Mark


@dataclass(frozen=True, slots=True)
class Header:
    """What the items of a manifest have in common. Anything wrong is noted and left out."""

    name: str
    description: str
    settings: Mapping[str, Any]
    tags: Map | None
    defaults: Map | None
    defaults_refused: bool
    """Whether none of them could be read, so that the items' model is unknown."""
    model_defaults: Mapping[str, Map]
    """Includes those for unknown models."""
    path: PathTemplate
    expect: Mapping[str, Any]
    """The checks of `defaults.expect`, None for those that it turns off."""
    bought: tuple[tuple[str, Mark], ...] = ()
    """Patterns for the files that show what was bought elsewhere, with their places."""
    assets: str | None = None
    """Where local pictures are uploaded to, or are already; None: none can be sent."""


def read_header(entries: Mapping[str, TopLevelValue], catalog: Catalog, problems: Problems) -> Header:
    """Return the header from the top-level entries; everything wrong with it is noted."""
    for key in entries.keys() - set(KEYS):
        near = nearest(key, KEYS)
        hint = f"did you mean `{near}`?" if near else f"a manifest has {', '.join(KEYS)}"
        problems.at(entries[key].key_mark, f"`{printable(key, 60)}` is not a key of a manifest; {hint}")
    version = entries.get("version")
    if version is None:
        problems.at(None, "`version` is missing; begin with `version: 1`")
    else:
        check_version(version.value, version.mark, problems)
    run = _map(entries, "run", problems)
    bought = _bought(run, problems)
    settings, path = _settings(run, problems)
    tags = _map(entries, "tags", problems)
    if tags is not None:
        check_tags(tags, problems)
    defaults = _map(entries, "defaults", problems)
    expect = _take_checks(defaults, problems)
    return Header(
        name=_name(entries.get("name"), problems),
        description=_description(entries.get("description"), problems),
        settings=settings,
        tags=tags,
        defaults=_defaults(defaults, catalog, problems),
        defaults_refused=defaults is None and "defaults" in entries and entries["defaults"].value is not None,
        model_defaults=_model_defaults(_map(entries, "model_defaults", problems), catalog, problems),
        path=path,
        expect=expect,
        bought=bought,
        assets=_assets(run, problems),
    )


def check_tags(tags: Map, problems: Problems) -> None:
    """Note what is wrong with a map of tags."""
    for name, value in tags.items():
        fault = tag_fault(name, value)
        if fault is not None:
            problems.at(tags.value_mark(name) if isinstance(value, dict | list) else tags.key_mark(name), fault)


def tag_fault(name: str, value: Any) -> str | None:
    """Return what is wrong with a tag; None if it is valid."""
    if not _is_tag_name(name):
        rule = "use letters, digits, `_` and `-`, not starting with a digit, at most 64"
        return f"`{printable(name, 80)}` is not a valid tag name; {rule}"
    if isinstance(value, dict | list):
        return f"the tag `{name}` must be text, a number, true or false"
    if isinstance(value, str) and "\0" in value:
        return f"the tag `{name}` contains the character U+0000"
    return None


@lru_cache(maxsize=1024)
def _is_tag_name(name: str) -> bool:
    return _TAG_NAME.fullmatch(name) is not None


def _map(entries: Mapping[str, TopLevelValue], key: str, problems: Problems) -> Map | None:
    entry = entries.get(key)
    if entry is None or entry.value is None:
        return None
    if isinstance(entry.value, Map):
        return entry.value
    problems.at(entry.mark, f"`{key}` must be a map")
    return None


def check_version(version: Any, mark: Mark, problems: Problems) -> None:
    """Note a version of the manifest format that is not known."""
    if whole(version) != 1:
        problems.at(mark, "`version` must be 1, the only version of the manifest format")


def _name(entry: TopLevelValue | None, problems: Problems) -> str:
    if entry is None:
        problems.at(None, "`name` is missing; it names the run folder, as in `name: autumn-menu`")
    elif isinstance(entry.value, str) and RUN_NAME.fullmatch(entry.value):
        return entry.value
    else:
        problems.at(
            entry.mark,
            "`name` must consist of lower-case letters, digits, `.`, `_` and `-`, starting with a letter"
            " or digit, at most 64",
        )
    return ""


def _description(entry: TopLevelValue | None, problems: Problems) -> str:
    if entry is None or entry.value is None:
        return ""
    if not isinstance(entry.value, str):
        problems.at(entry.mark, "`description` must be text")
        return ""
    if "\0" in entry.value:
        problems.at(entry.mark, "`description` contains the character U+0000")
    return entry.value


def _settings(run: Map | None, problems: Problems) -> tuple[dict[str, Any], PathTemplate]:
    settings: dict[str, Any] = {}
    path = read_path(DEFAULT_PATH)
    for name, value in (run or {}).items():
        assert run is not None  # noqa: S101 - for mypy: there are entries, so there is a map
        if name in (_BOUGHT, _ASSETS):
            continue
        setting = BY_NAME.get(name)
        if setting is None:
            known = (*BY_NAME, _BOUGHT, _ASSETS)
            near = nearest(name, known)
            hint = f"did you mean `{near}`?" if near else f"`run` takes {', '.join(known)}"
            problems.at(run.key_mark(name), f"`{printable(name, 60)}` is not a setting; {hint}")
            continue
        try:
            settings[name] = parse_setting(setting, value)
            if name == "path":
                path = read_path(settings[name])
        except (ValueError, PathError) as error:
            problems.at(run.value_mark(name), f"`run.{name}` {error}" if isinstance(error, ValueError) else str(error))
    return settings, path


def _bought(run: Map | None, problems: Problems) -> tuple[tuple[str, Mark], ...]:
    if run is None or (written := run.get(_BOUGHT)) is None:
        return ()
    if not isinstance(written, List) or not all(isinstance(pattern, str) and pattern for pattern in written):
        problems.at(run.value_mark(_BOUGHT), "`run.bought` must be a list of files, as in [bought/*.csv]")
        return ()
    return tuple((pattern, written.mark(n)) for n, pattern in enumerate(written))


def _assets(run: Map | None, problems: Problems) -> str | None:
    if run is None or (written := run.get(_ASSETS)) is None:
        return None
    try:
        if not isinstance(written, str):
            raise UsageError("it must be text, as in s3://BUCKET/PREFIX")
        check_assets(written)
    except UsageError as error:
        problems.at(run.value_mark(_ASSETS), f"`run.assets`: {error}")
        return None
    return written


def bought_files(header: Header, folder: Path, problems: Problems) -> tuple[Path, ...]:
    """Return the files that `run.bought` means, relative to `folder`; a pattern that matches no file is a problem."""
    found: list[Path] = []
    for pattern, mark in header.bought:
        try:
            files = sorted(folder.glob(pattern))
        except (NotImplementedError, ValueError):
            problems.at(mark, f"`{printable(pattern, 200)}` must be relative to the manifest, as in bought/*.csv")
            continue
        if not files:
            # Items in a file that a typo leaves out would be bought again.
            problems.at(mark, f"no file matches `{printable(pattern, 200)}` in the manifest's folder")
        found += files
    return tuple(found)


def _take_checks(defaults: Map | None, problems: Problems) -> Mapping[str, Any]:
    """Return the checks in `defaults`, and leave it with parameters alone."""
    if defaults is None or EXPECT not in defaults:
        return {}
    mark, written = defaults.value_mark(EXPECT), defaults.pop(EXPECT)
    return {} if written is None else read_checks(written, mark, problems)


def _defaults(defaults: Map | None, catalog: Catalog, problems: Problems) -> Map | None:
    """Drop what no model takes: a default that some models take is valid, even if others do not."""
    if defaults is None:
        return None
    known = {parameter.name for model in catalog.models.values() for parameter in model.parameters}
    for name in [name for name in defaults if name != "model" and name not in known]:
        problems.at(defaults.key_mark(name), unknown_parameter(name, known))
        del defaults[name]
    model_id = defaults.get("model")
    if model_id is not None and not has_variables(model_id) and catalog.model(model_id) is None:
        problems.at(defaults.value_mark("model"), BodyChecker(catalog).problems(model_id, {})[0].message)
    return defaults


def _model_defaults(given: Map | None, catalog: Catalog, problems: Problems) -> dict[str, Map]:
    usable: dict[str, Map] = {}
    for model_id, values in (given or {}).items():
        assert given is not None  # noqa: S101 - for mypy: there are entries, so there is a map
        model = catalog.model(model_id)
        if model is None:
            near = catalog.suggest_model(model_id)
            hint = f"did you mean {near}?" if near else "`batchgen models` lists them"
            problems.at(given.key_mark(model_id), f"`{printable(model_id, 60)}` is not a known model; {hint}")
        if not isinstance(values, Map):
            problems.at(given.value_mark(model_id), "the defaults of a model must be a map of parameters")
            continue
        known = [parameter.name for parameter in model.parameters] if model is not None else list(values)
        for name in [name for name in values if name not in known]:
            near = nearest(name, known)
            hint = f"did you mean `{near}`?" if near else f"it takes {', '.join(known)}"
            problems.at(values.key_mark(name), f"`{printable(name, 60)}` is not a parameter of {model_id}; {hint}")
            del values[name]
        usable[model_id] = values
    return usable
