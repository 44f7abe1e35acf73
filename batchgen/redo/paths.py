"""Finds the `run.path` by which the paths of a run's items were made: the journal has the paths alone."""

from collections.abc import Iterator, Mapping
from itertools import islice, product

from batchgen.manifest.item.ids import shard
from batchgen.manifest.item.paths import DEFAULT_PATH, PathError, PathTemplate, read_path

_MOST = 256


class PathGuess:
    """The templates by which all paths so far could have been made."""

    def __init__(self) -> None:
        self._templates: list[tuple[str, PathTemplate]] | None = None

    def take(self, item_id: str, model: str, tags: Mapping[str, str], path: str) -> None:
        """Take the path of one more item."""
        if self._templates is None:
            made = ((text, _readable(text)) for text in _candidates(item_id, model, tags, path))
            self._templates = [(text, template) for text, template in islice(made, _MOST) if template is not None]
        self._templates = [
            (text, template) for text, template in self._templates if _makes(template, item_id, model, tags) == path
        ]

    @property
    def text(self) -> str | None:
        """The template that leaves the least to chance; None if there is none that makes all paths."""
        return self._templates[0][0] if self._templates else DEFAULT_PATH if self._templates is None else None


def _candidates(item_id: str, model: str, tags: Mapping[str, str], path: str) -> Iterator[str]:
    values = {"id": item_id, **{f"tags.{name}": text for name, text in tags.items()}}
    values |= {"shard": shard(item_id), "model": model}
    yield from ("/".join(parts) for parts in product(*(_forms(part, values) for part in path.split("/"))))


def _forms(part: str, values: Mapping[str, str]) -> list[str]:
    """Return how one part of a path may be written: as a variable, as a text with the id inside, or as it is."""
    literal = part.replace("${", "$${")
    whole = [f"${{{name}}}" for name, text in values.items() if _fits(text, part)]
    inside = [part.replace(values["id"], "${id}")] if values["id"] in part and values["id"] != part else []
    return [*whole, *inside, literal]


def _fits(text: str, part: str) -> bool:
    try:
        return read_path("${model}").path("x", text, {}) == part
    except PathError:
        return False


def _readable(text: str) -> PathTemplate | None:
    try:
        return read_path(text)
    except PathError:
        return None


def _makes(template: PathTemplate, item_id: str, model: str, tags: Mapping[str, str]) -> str | None:
    try:
        return template.path(item_id, model, tags)
    except PathError:
        return None
