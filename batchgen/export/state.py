"""What an export folder knows of itself: a file in it that lists each file that was written, one JSON object a line.

So a later export replaces and removes what an earlier one wrote, and nothing else. Lines are appended while files are
written, the last one for a file counts, and the whole is written anew at the end.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.core.files import staged_text
from batchgen.core.text import json_object

STATE_NAME = ".batchgen-export.jsonl"
LINK, COPY, TEXT, MARK = "link", "copy", "text", "mark"
"""How a file was made."""


@dataclass(frozen=True, slots=True)
class Header:
    """Of which run it is an export."""

    run: str
    run_id: str
    archives: str = ""
    """What the archive beside it may be (`archive_mark`): the last one, and one that is about to take its place."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file as it was written. Size and time tell, without reading it, that nobody has changed it since."""

    name: str
    """Below the export's folder."""
    sha256: str
    bytes: int
    mtime_ns: int
    recipe: str
    """How it was made: `link`, `copy`, `text`, or `mark` with a digest of what was added."""
    bought_sha256: str = ""
    """Of the bought file; empty for a text."""
    unmarked: str = ""
    """Why no mark was added, if one was to be."""
    purchase: str = ""
    number: int = 0


_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Header, Exported)}
as_row = attrgetter(*_NAMES[Exported])
"""Returns the values of an `Exported` in their order (`dataclasses.astuple` copies them, for six times the time)."""


def read_state(folder: Path) -> Iterator[Header | Exported]:
    """Yield what the state file of an export folder says, the header first; nothing where there is no such file.

    A last line that was cut short by a crash is left out. Raises UsageError for anything else that cannot be read.
    """
    path = folder / STATE_NAME
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                entry = _read(line)
                if entry is None and line.endswith(b"\n"):
                    raise UsageError(f"{path}:{number}: not a line of an export; export to another folder")
                if entry is not None:
                    yield entry
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def write_state(folder: Path, header: Header, files: Iterable[Exported]) -> None:
    """Replace the state file. Raises DiskError."""
    with staged_text(folder / STATE_NAME) as out:
        out.write(state_line(header))
        out.writelines(map(state_line, files))


def state_line(entry: Header | Exported) -> str:
    """Return the line of an entry."""
    values = {name: getattr(entry, name) for name in _NAMES[type(entry)]}
    return f"{json.dumps(values, ensure_ascii=False)}\n"


def _read(line: bytes) -> Header | Exported | None:
    values = json_object(line)
    if values is None:
        return None
    kind: type[Header | Exported] = Header if "run_id" in values else Exported
    types = {field.name: field.type for field in fields(kind)}
    if {name: type(value) for name, value in values.items()} != types:
        return None
    return kind(**values)
