"""Reads a manifest as a stream of YAML events and builds one item at a time.

Scalars follow the core schema of YAML 1.2 (section 10.3), plain style only: null (`~`, empty), `true` and `false`,
decimal, `0o` and `0x` integers, floats. Anything else is text: `16:9`, `no`, `2024-01-01`. Only tags of that schema are
known. Duplicate keys and keys that are not text are problems. Anchors, aliases and `<<` merges are followed, and the
size of their expansion is limited.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader as YamlReader
from yaml.reader import ReaderError
from yaml.scanner import Scanner

from batchgen.core.text import printable
from batchgen.manifest.yaml.nodes import MAX_DEPTH, TOO_DEEP, Anchors, List, Map, TooMuchError
from batchgen.manifest.yaml.parser_errors import explained
from batchgen.manifest.yaml.problems import BrokenOffError, Mark, Problems
from batchgen.manifest.yaml.reader import Reader, UnfitError, first_control, line_of, restore
from batchgen.manifest.yaml.scalars import MAY_BE_NO_TEXT, Real, core_value
from batchgen.manifest.yaml.shapes import Shapes

_NAMES_KEPT = 1_000
_TAG = "tag:yaml.org,2002:"
_SURROGATE = re.compile("[\ud800-\udfff]")


class PureParser(YamlReader, Scanner, Parser):
    """PyYAML's own parser, used if its libyaml binding is missing: the same events, several times slower.

    It refuses tabs between the tokens of JSON, which libyaml accepts.
    """

    def __init__(self, stream: Any) -> None:
        YamlReader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)

    def get_event(self) -> Any:
        """Return the next event; refuses half a surrogate pair, as libyaml does."""
        event: Any = super().get_event()  # type: ignore[no-untyped-call]  # their stubs
        if type(event) is ScalarEvent and _SURROGATE.search(event.value):
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(None, None, "found invalid Unicode character escape code", mark)
        return event


def default_parser() -> Callable[[Any], Any]:
    """Return libyaml's parser, or the pure Python one if PyYAML was built without it."""
    try:
        from yaml._yaml import CParser
    except ImportError:
        return PureParser
    parser: Callable[[Any], Any] = CParser
    return parser


class Document:
    """One pass over a manifest."""

    def __init__(
        self,
        path: Path,
        file: IO[bytes],
        problems: Problems,
        parser: Callable[[Any], Any] | None = None,
        shapes: Shapes | None = None,
    ) -> None:
        """`file` is `path`, opened; `parser` makes an event parser from a stream.

        Entries that have one of the `shapes` are `Alike`; what is read counts only if there is no MisreadError.
        """
        self._path = path
        self._problems = problems
        self._shapes = shapes
        self._reader = Reader(file, shapes)
        self._make_parser = parser or default_parser()
        self._anchors = Anchors()
        self._get: Callable[[], Any]
        self._last: Any = None
        self._names: dict[str, str] = {}
        """Plain keys seen before; there are few, and they are certainly texts."""

    @property
    def has_hashes(self) -> bool:
        """Whether a `#` followed a blank in what was read so far: only then can a comment have cut a text short."""
        return self._reader.hashes

    def entries(self, streamed: str) -> Iterator[tuple[str, Mark, Any, Mark]]:
        """Yield each top-level key with its mark, its value and the value's mark.

        The value of the key `streamed`, if it is a sequence, is an iterator of (entry, mark) that builds one entry
        at a time; it is exhausted before the next key is requested. Raises BrokenOffError if the text cannot be read
        further.
        """
        with self._translated():
            self._get = self._make_parser(self._reader).get_event
            yield from self._top(streamed)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn an error that stops the parser into a problem at its place and a BrokenOffError."""
        try:
            yield
        except UnfitError as error:
            raise self._unfit(error) from error
        except ReaderError as error:
            raise self._control() from error
        except yaml.MarkedYAMLError as error:
            raise self._problems.broken_off(*explained(error, self._path)) from error

    def _root(self) -> Any:
        """Return the event with which the map of the document begins."""
        self._next()
        if type(self._next()) is StreamEndEvent:
            raise self._problems.broken_off(None, "the manifest is empty; `batchgen init` writes one to start from")
        event = self._next()
        if type(event) is MappingStartEvent:
            return event
        raise self._problems.broken_off(
            event.start_mark, "a manifest must be a map with the keys version, name and items"
        )

    def _top(self, streamed: str) -> Iterator[tuple[str, Mark, Any, Mark]]:
        top = Map(self._root().start_mark)
        while type(event := self._next()) is not MappingEndEvent:
            key, value_event = self._key(event, 1), self._next()
            fresh = key is not None and self._is_new(top, key, event)
            begins_list = type(value_event) is SequenceStartEvent
            if fresh and key == streamed and begins_list:
                entries = self._stream(value_event)
                yield streamed, event.start_mark, entries, value_event.start_mark
                for _ in entries:
                    pass  # the caller did not want the rest, but the parser has to get past it
            else:
                value = self._node(value_event, 1)
                if key is not None and fresh:
                    yield key, event.start_mark, value, value_event.start_mark
            if key is not None and fresh:
                top[key], top.events[key] = None, (event, value_event)
        self._next()
        event = self._next()
        if type(event) is DocumentStartEvent:
            message = "a manifest must be a single document; remove this `---` and everything after it"
            raise self._problems.broken_off(event.start_mark, message)

    def _stream(self, start: Any) -> Iterator[tuple[Any, Mark]]:
        # This runs in the caller that takes the entries, outside `entries`, so errors have to be caught here as well.
        with self._translated():
            while type(event := self._next()) is not SequenceEndEvent:
                if self._shapes is None or (taken := self._shapes.taken(event)) is None:
                    yield self._node(event, 2), event.start_mark
                else:
                    for alike in taken:
                        yield alike, alike
            if self._shapes is not None:
                self._shapes.close()
        if start.anchor is not None:
            # A list that is never in memory as a whole cannot be the target of an alias.
            self._anchors.drop(start.anchor)

    def _next(self) -> Any:
        event = self._get()
        self._last = event
        self._reader.quiet = 0
        return event

    # ---- nodes ----------------------------------------------------------------------------------------------------

    def _node(self, event: Any, depth: int) -> Any:
        """Return the value that begins with `event`."""
        kind = type(event)
        if kind is ScalarEvent:
            if event.anchor is None:
                return self._scalar(event)
            value = self._scalar(event)
        elif kind is AliasEvent:
            return self._alias(event)
        else:
            if depth > MAX_DEPTH:
                raise self._problems.broken_off(event.start_mark, TOO_DEEP)
            if event.tag not in (None, "!", f"{_TAG}map" if kind is MappingStartEvent else f"{_TAG}seq"):
                self._bad_tag(event)
            value = self._map(event, depth + 1) if kind is MappingStartEvent else self._list(depth + 1)
        if event.anchor is not None:
            try:
                self._anchors.put(event.anchor, value)
            except TooMuchError as error:
                raise self._problems.broken_off(event.start_mark, str(error)) from error
        return value

    def _map(self, start: Any, depth: int) -> Map:
        result = Map(start.start_mark)
        events, merges = result.events, list[tuple[Any, Any, Any]]()
        # Nearly all of the reading time is spent here, hence the locals, and the common cases first.
        get, reader, names = self._get, self._reader, self._names
        while True:
            event = get()
            key = None
            if type(event) is ScalarEvent:
                if event.implicit[0] and event.anchor is None:
                    key = names.get(event.value)
            elif type(event) is MappingEndEvent:
                break
            self._last = event
            if key is None:
                key = self._key(event, depth)
            value_event = get()
            reader.quiet = 0
            if type(value_event) is not ScalarEvent or value_event.anchor is not None:
                self._last = value_event
                value = self._node(value_event, depth)
            elif reader.hidden or value_event.tag is not None:
                value = self._scalar(value_event)
            else:
                value = value_event.value
                if not value_event.style and (not value or value[0] in MAY_BE_NO_TEXT):
                    value = self._resolved(value_event, value)
            if key is None:
                continue
            if key == "<<" and not event.style:
                merges.append((event, value_event, value))
            elif key not in events or self._is_new(result, key, event):
                result[key] = value
                events[key] = (event, value_event)
        for n, (event, value_event, value) in enumerate(merges):
            if n:
                message = f"{_again('<<', merges[0][0].start_mark)}; one `<<` takes a list of aliases"
                self._problems.at(event.start_mark, message)
            self._merge(result, value_event, value)
        return result

    def _list(self, depth: int) -> List:
        result = List()
        while type(event := self._next()) is not SequenceEndEvent:
            result.append(self._node(event, depth))
            result.events.append(event)
        return result

    def _key(self, event: Any, depth: int) -> str | None:
        """Return a key; None, with the problem noted, if it is not text."""
        key = self._scalar(event) if type(event) is ScalarEvent and event.anchor is None else self._node(event, depth)
        if type(key) is str:
            usual = type(event) is ScalarEvent and event.implicit[0] and event.tag is None and not self._reader.hidden
            if usual and len(self._names) < _NAMES_KEPT:
                self._names[key] = key
            return key
        if isinstance(key, Map) and key and all(value is None for value in key.values()):
            message = "`{{` begins a map in a map; a variable is written `${name}`, and text with braces needs quotes"
            raise self._problems.broken_off(event.start_mark, message)
        if isinstance(key, Map | List):
            self._problems.at(event.start_mark, "a key must be text, not a list or a map")
        else:
            self._problems.at(
                event.start_mark, f'a key must be text; put it in quotes: "{printable(_spelled(event), 60)}"'
            )
        return None

    def _is_new(self, known: Map, key: str, event: Any) -> bool:
        if key not in known.events:
            return True
        self._problems.at(event.start_mark, _again(key, known.key_mark(key)))
        return False

    def _merge(self, into: Map, event: Any, value: Any) -> None:
        """Add the entries of merged maps that are missing in `into` (yaml.org/type/merge.html): earlier ones win."""
        sources = value if isinstance(value, List) else [value]
        for source in sources:
            if not isinstance(source, Map):
                self._problems.at(event.start_mark, "`<<` takes a map, an alias of a map, or a list of these")
                return
            for key, entry in source.items():
                if key not in into:
                    into[key], into.events[key] = entry, source.events[key]

    # ---- scalars, aliases -----------------------------------------------------------------------------------------

    def _scalar(self, event: Any) -> Any:
        value = event.value
        if self._reader.hidden:
            value = restore(value, double_quoted=event.style == '"')
        if event.tag is not None:
            return self._tagged(event, value)
        if event.style or (value and value[0] not in MAY_BE_NO_TEXT):
            return value
        return self._resolved(event, value)

    def _resolved(self, event: Any, value: str) -> Any:
        try:
            return core_value(value)
        except ValueError:
            self._problems.at(event.start_mark, "this number is too long")
            return 0

    def _tagged(self, event: Any, value: str) -> Any:
        tag = event.tag.removeprefix(_TAG)
        if tag in ("!", "str"):
            return value
        if tag in ("null", "bool", "int", "float"):
            resolved = self._resolved(event, value)
            types: dict[str, Any] = {"null": type(None), "bool": bool, "int": int, "float": (int, float)}
            if isinstance(resolved, types[tag]) and (tag == "bool") == isinstance(resolved, bool):
                return Real.read(value) if tag == "float" and not isinstance(resolved, Real) else resolved
            self._problems.at(event.start_mark, f'"{printable(value, 60)}" is not a valid value for the tag `!!{tag}`')
            return value
        self._bad_tag(event)
        return value

    def _bad_tag(self, event: Any) -> None:
        tag = event.tag.replace(_TAG, "!!")
        self._problems.at(event.start_mark, f"the tag `{printable(tag, 60)}` does not fit here; remove it")

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            self._problems.at(
                event.start_mark, f"the alias `*{event.anchor}` has no anchor `&{event.anchor}` before it"
            )
            return None
        try:
            return self._anchors.expand(event.anchor, event.start_mark.index)
        except TooMuchError as error:
            raise self._problems.broken_off(event.start_mark, str(error)) from error

    # ---- what cannot be read --------------------------------------------------------------------------------------

    def _unfit(self, error: UnfitError) -> BrokenOffError:
        if error.offset is None:
            return self._problems.broken_off(self._last.end_mark if self._last else None, str(error))
        return self._problems.broken_off(_Place(*line_of(self._path, error.offset)), f"{error}; save it as UTF-8")

    def _control(self) -> BrokenOffError:
        found = first_control(self._path)
        if found is None:
            return self._problems.broken_off(None, "the file contains a character that YAML does not allow")
        offset, name = found
        message = f"the control character {name} is not allowed; within double quotes, write it as an escape"
        if name == "U+0000":
            message = "the file contains the character U+0000: is the file UTF-16? save it as UTF-8"
        return self._problems.broken_off(_Place(*line_of(self._path, offset)), message)


class _Place:
    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column


def _again(key: str, first: Mark) -> str:
    return f"the key `{printable(key, 60)}` is repeated here; it is already on line {first.line + 1}"


def _spelled(event: Any) -> str:
    return event.value if isinstance(event, ScalarEvent) else ""
