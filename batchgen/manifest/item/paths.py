"""Where the files of an item go: the template `run.path`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from batchgen.catalog import nearest
from batchgen.manifest.item.ids import fit, shard
from batchgen.manifest.template import FillError, Template, parse_template

DEFAULT_PATH = "${id}"
_TAG = "tags."
_LONGEST_PART = 200
"""Bytes; file systems allow 255, and the output's number and an extension are added."""
# `@` separates the number of an output from the rest, a backslash separates folders on some systems.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\@:*?\"<>|]")


class PathError(Exception):
    """A path template that cannot be used, or that gives an item no usable path; the text says why."""


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A checked `run.path`."""

    template: Template
    unique: bool
    """Whether different ids (case aside) always have different paths."""

    @property
    def tags(self) -> frozenset[str]:
        """The tags that every item needs."""
        return frozenset(name.removeprefix(_TAG) for name in self.template.names if name.startswith(_TAG))

    def path(self, item_id: str, model: str, tags: Mapping[str, str]) -> str:
        """Return the item's path: relative, below `files/`, without extension. Raises PathError."""
        parts = self.template.parts
        if len(parts) == 3 and parts == ("", "id", ""):
            return item_id
        names = {f"{_TAG}{name}": text for name, text in tags.items()}
        for tag in self.tags:
            if tag not in tags:
                raise PathError(f"`run.path` uses the tag `{tag}`, which this item does not have")
        try:
            path = self.template.fill(
                {**names, "id": item_id, "model": model, "shard": shard(item_id)}, _fitted, "a path"
            )
        except FillError as error:
            raise PathError(f"`run.path`: {error}") from error
        _check_parts(path)
        return path


def read_path(text: str, tags: Iterable[str] | None = None) -> PathTemplate:
    """Return a `run.path` as a checked template. `tags`: those that any item can have, if they are known.

    Raises PathError.
    """
    template = parse_template(text)
    known = ["id", "model", "shard", *(f"{_TAG}{name}" for name in tags or ())]
    for name in template.names:
        if name not in known and not (tags is None and name.startswith(_TAG)):
            near = nearest(name, known)
            hint = (
                f"did you mean `${{{near}}}`?" if near else "it takes `${id}`, `${tags.NAME}`, `${model}`, `${shard}`"
            )
            raise PathError(f"`${{{name}}}` means nothing in a path; {hint}")
    literals = "".join(template.parts[::2])
    if (odd := _UNFIT.search(literals)) is not None:
        raise PathError(f"a path cannot contain {odd[0]!r}")
    _check_parts(_with_stand_ins(template))
    return PathTemplate(template, unique="${id}" in text.split("/"))


def _with_stand_ins(template: Template) -> str:
    return template.fill(dict.fromkeys(template.names, "x"))


def _fitted(text: str) -> str:
    # An id may end in `~` and a number, which `fit` would remove.
    return text if re.fullmatch(r"[A-Za-z0-9._~-]+", text) else fit(text)


def _check_parts(path: str) -> None:
    for part in path.split("/"):
        if not part:
            raise PathError(f"the path `{path}` must be relative, without empty parts")
        if part.startswith("."):
            raise PathError(f"the path `{path}` has a part that begins with a dot")
        if len(part.encode()) > _LONGEST_PART:
            raise PathError(f"the path `{path[:60]}…` has a part of more than {_LONGEST_PART} bytes")
        if part != part.strip():
            raise PathError(f"the path `{path}` has a part that begins or ends with a space")
