"""Collects the problems of a manifest, each at its place, and quotes the lines they are on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from batchgen.core.errors import ManifestError, Problem
from batchgen.core.text import printable

KEPT = 100
"""How many problems are shown; the others are only counted."""
_REMEMBERED = 50_000
_LONGEST_QUOTED = 4_000
_PIECE = 65_536
_WIDTH = 110


class BrokenOffError(Exception):
    """A file cannot be read any further; the reason is already noted as a problem. Never leaves this package."""


class Mark(Protocol):
    """A place in the manifest as the YAML parser counts it: line and column from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FileMark:
    """A place in a file that the manifest includes."""

    line: int
    column: int
    file: str


@dataclass(frozen=True, slots=True)
class Warnings:
    """What is well-formed but probably a mistake, in the order of the file; warnings do not refuse the manifest."""

    shown: tuple[Problem, ...] = ()
    more: int = 0
    """How many more were found and left out of `shown`, to limit the output."""


NO_WARNINGS = Warnings()


class _Notes:
    """Problems of one kind; the same problem at the same place is kept only once."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.more = 0
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self.kept) + self.more

    def add(self, problem: Problem) -> None:
        key = hash((problem.file, problem.line, problem.column, problem.message))
        if key in self._seen:
            return
        if len(self._seen) < _REMEMBERED:
            self._seen.add(key)
        if len(self.kept) < KEPT:
            self.kept.append(problem)
        else:
            self.more += 1


class Problems:
    """Every problem found so far, and every warning beside them."""

    def __init__(self, manifest: Path, *, strict: bool = False) -> None:
        """`strict` turns warnings into problems."""
        self.manifest = str(manifest)
        self.noted = 0
        """How often a problem was noted, including known ones: shows whether a step found any."""
        self._strict = strict
        self._problems = _Notes()
        self._warnings = _Notes()

    def __len__(self) -> int:
        return len(self._problems)

    def at(self, mark: Mark | None, message: str) -> None:
        """Note a problem of the manifest itself; without a mark, it is placed at the first line."""
        if mark is None:
            self._add(Problem(self.manifest, 1, 1, message))
        else:
            self._add(Problem(self._file_of(mark), mark.line + 1, mark.column + 1, message))

    def _file_of(self, mark: Mark) -> str:
        return mark.file if isinstance(mark, FileMark) else self.manifest

    def add(self, others: "Problems") -> None:
        """Note the problems and warnings of another file."""
        for problem in others.error().problems:
            self._add(problem)
        for warning in others.warnings().shown:
            self._warn(warning)

    def in_file(self, file: str, line: int, message: str) -> None:
        """Note a problem of a whole line (counted from 1) of `file`, a path that can be opened as it is."""
        self._add(Problem(file, line, 0, message))

    def warn(self, mark: Mark, message: str) -> None:
        """Note a probable mistake at a place of the manifest: a warning, or a problem if strict."""
        self._warn(Problem(self._file_of(mark), mark.line + 1, mark.column + 1, message))

    def warn_in_file(self, file: str, line: int, message: str) -> None:
        """Note a probable mistake in a whole line of `file`: a warning, or a problem if strict."""
        self._warn(Problem(file, line, 0, message))

    def broken_off(self, mark: Mark | None, message: str) -> BrokenOffError:
        """Note a problem of the manifest and return the exception that stops the reading."""
        self.at(mark, message)
        return BrokenOffError(message)

    def clear(self) -> None:
        """Forget everything, because the manifest will be read again."""
        self._problems, self._warnings = _Notes(), _Notes()

    def error(self) -> ManifestError:
        """Return the error that refuses the manifest: problems in the order of the file, with their lines quoted."""
        return ManifestError(self._ordered(self._problems), more=self._problems.more)

    def warnings(self) -> Warnings:
        """Return the warnings in the order of the file, with their lines quoted."""
        return Warnings(tuple(self._ordered(self._warnings)), self._warnings.more)

    def _ordered(self, notes: _Notes) -> list[Problem]:
        return sorted(_quoted(notes.kept), key=self._order)

    def _order(self, problem: Problem) -> tuple[bool, Problem]:
        return problem.file != self.manifest, problem

    def _add(self, problem: Problem) -> None:
        self.noted += 1
        self._problems.add(problem)

    def _warn(self, warning: Problem) -> None:
        if self._strict:
            self._add(warning)
        else:
            self._warnings.add(warning)


def _quoted(problems: list[Problem]) -> list[Problem]:
    wanted: dict[str, set[int]] = {}
    for problem in problems:
        wanted.setdefault(problem.file, set()).add(problem.line)
    found = {file: dict(lines_of(Path(file), lines)) for file, lines in wanted.items()}
    return [replace(problem, quoted=found[problem.file].get(problem.line, "")) for problem in problems]


def lines_of(path: Path, wanted: set[int]) -> Iterator[tuple[int, str]]:
    """Yield the wanted lines of a file with their numbers, in one pass; lines too long to quote are left out.

    LF, CRLF and a lone CR end a line, in YAML (1.2, section 5.4) and in rows.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            yield from _pick(file, wanted)
    except OSError:
        # A file that is gone or unreadable has no line to quote; its problem already says so.
        return


def _pick(file: IO[str], wanted: set[int]) -> Iterator[tuple[int, str]]:
    number, last, begun = 1, max(wanted), ""
    while number <= last and (piece := file.readline(_PIECE)):
        if len(begun) <= _LONGEST_QUOTED and number in wanted:
            begun += piece
        if piece.endswith("\n"):
            if number in wanted and len(begun) <= _LONGEST_QUOTED:
                yield number, begun.rstrip("\r\n")
            number, begun = number + 1, ""
        elif number == last and len(begun) > _LONGEST_QUOTED:
            return  # the rest of a line without an end may be as large as a disk
    if begun and len(begun) <= _LONGEST_QUOTED:
        yield number, begun


def format_problems(error: ManifestError) -> str:
    """Return the problems for a terminal: `file:line:col: message`, the line quoted below it, a caret below that."""
    return _listed(error.problems, error.more, "")


def format_warnings(warnings: Warnings, most: int = KEPT) -> str:
    """Return the first `most` warnings in the form of `format_problems`; empty if there are none."""
    left = max(0, len(warnings.shown) - most)
    return _listed(warnings.shown[:most], warnings.more + left, "warning: ")


def _listed(problems: Iterable[Problem], more: int, kind: str) -> str:
    shown = [_formatted(problem, kind) for problem in problems]
    if more:
        shown.append(f"… and {more:,} more{' warnings' if kind else ''}")
    return "\n".join(shown)


def _formatted(problem: Problem, kind: str) -> str:
    head = f"{problem.place}: {kind}{printable(problem.message, 1000)}"
    if not problem.quoted:
        return head
    cut = max(0, problem.column - _WIDTH * 2 // 3) if len(problem.quoted) > _WIDTH else 0
    line = ("…" if cut else "") + printable(problem.quoted[cut + (1 if cut else 0) :], _WIDTH)
    if not 0 < problem.column <= len(problem.quoted) + 1:
        return f"{head}\n    {line}"
    return f"{head}\n    {line}\n    {' ' * (problem.column - cut - 1)}^"
