"""How a command's output looks (as JSON or for people, with colours or without), and where it goes."""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

# ---- what the command line asks for ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Presentation:
    """What a command line asks for. It is known before the line is parsed: errors in parsing it obey, too."""

    as_json: bool
    color: bool | None
    """None: a terminal gets colours, and nothing else does."""


def presentation_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Presentation:
    """Return what `--json`, `--format json`, `--color`, NO_COLOR, FORCE_COLOR and TERM say; flags win."""
    words = list(arguments)
    if "--" in words:
        words = words[: words.index("--")]
    as_json = "--json" in words or _last_value(words, "--format") == "json"
    return Presentation(as_json, _color(_last_value(words, "--color"), environment))


def _color(when: str | None, environment: Mapping[str, str]) -> bool | None:
    if when in ("always", "never"):
        return when == "always"
    # https://no-color.org and https://force-color.org: each counts where it is set and not empty.
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    return True if environment.get("FORCE_COLOR") else None


def _last_value(words: Sequence[str], option: str) -> str | None:
    found = None
    for position, word in enumerate(words):
        if word == option and position + 1 < len(words):
            found = words[position + 1]
        elif word.startswith(f"{option}="):
            found = word.removeprefix(f"{option}=")
    return found


color_option = click.Option(
    ["--color"],
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    expose_value=False,  # `presentation_of` has read it already
    metavar="WHEN",
    help="Use colours: auto (on a terminal, unless NO_COLOR is set), always or never (default auto).",
)

# ---- colours -----------------------------------------------------------------------------------------------------

_Style = dict[str, Any]
_GOOD: _Style = {"fg": "green"}
_BAD: _Style = {"fg": "red", "bold": True}
_WATCH: _Style = {"fg": "yellow", "bold": True}
_NEXT: _Style = {"fg": "cyan", "bold": True}
_FAINT: _Style = {"dim": True}
_LABELS = {
    "error": _BAD, "stopped": _WATCH, "warning": _WATCH, "next": _NEXT, "repair": _NEXT, "usage": _FAINT,
    "note": _FAINT, "tip": _FAINT, "interrupted": _WATCH,
}  # fmt: skip
_STATES = {
    "done": _GOOD, "failed": _BAD, "rejected": _BAD, "lost": _BAD, "in doubt": _WATCH, "skipped": _WATCH,
}  # fmt: skip
_BEGINNING = re.compile(rf"(?P<label>{'|'.join(_LABELS)}):|  (?P<state>{'|'.join(_STATES)})(?= {{2,}})")
_PLACE = re.compile(r"(?P<place>\S+:\d+:\d+:)(?P<warning> warning:)?")
_CARET = re.compile(r" +\^")


def painted(text: str) -> str:
    """Return a text with colours for what its lines begin with: labels, states, places in files.

    `click.echo` takes them out again where they are not wanted.
    """
    return "\n".join(map(_painted_line, text.split("\n")))


def _painted_line(line: str) -> str:
    if found := _BEGINNING.match(line):
        label, state = found["label"], found["state"]
        begun = click.style(f"{label}:", **_LABELS[label]) if label else "  " + click.style(state, **_STATES[state])
        return begun + line[found.end() :]
    if found := _PLACE.match(line):
        warning = click.style(found["warning"], **_WATCH) if found["warning"] else ""
        return click.style(found["place"], bold=True) + warning + line[found.end() :]
    return click.style(line, **_BAD) if _CARET.fullmatch(line) else line


def say(text: str, *, err: bool = False) -> None:
    """Print a text for people, in colour where that is wanted."""
    click.echo(painted(text), err=err)


# ---- files that may be the standard streams ----------------------------------------------------------------------

FILE_OR_DASH = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
_DASH = Path("-")


@contextmanager
def written_file(path: Path) -> Iterator[Path]:
    """Yield the file to write for `path`; for `-`, what it holds goes to standard output once the block succeeds."""
    if path != _DASH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        file = Path(scratch) / "standard-output.csv"
        yield file
        with file.open(encoding="utf-8", newline="") as text:
            shutil.copyfileobj(text, sys.stdout)


@contextmanager
def read_file(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file to read for `path`, and what messages call it; for `-`, one with what standard input holds."""
    if path != _DASH:
        yield path, str(path)
        return
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        file = Path(scratch) / "standard-input.csv"
        with click.open_file("-", "rb") as source, file.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        yield file, "standard input"


def tell_written(what: str, path: Path) -> None:
    """Say what was written to a file; on stderr where that is standard output."""
    if path == _DASH:
        click.echo(f"{what} written", err=True)
    else:
        click.echo(f"{what} written to {path}")
