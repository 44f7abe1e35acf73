"""Local pictures: what stands for one in a request, by the SHA-256 of its bytes, and where its file is.

The stand-in is part of the request's digest: a picture that moves stays the same request, one that is edited does not.
It is no address: `.invalid` leads nowhere, and a request is never sent with it.
"""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

STAND_IN_START = "https://pictures.invalid/"
_STAND_IN = re.compile(rf"{re.escape(STAND_IN_START)}(?P<sha256>[0-9a-f]{{64}})\.(?P<extension>[a-z]{{3,4}})")


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of a picture, wherever they lie."""

    sha256: str
    """64 hex digits."""
    extension: str
    """As its format has it: `jpg`, `png`, `webp`, `bmp`."""

    @property
    def name(self) -> str:
        """The name of an object with these bytes."""
        return f"{self.sha256}.{self.extension}"

    @property
    def stand_in(self) -> str:
        """What stands for it in a request until that is sent."""
        return f"{STAND_IN_START}{self.name}"


def looks_like_stand_in(value: object) -> bool:
    """Return whether a value is written as a stand-in is."""
    return isinstance(value, str) and value.startswith(STAND_IN_START)


def pictures_in(body: str) -> dict[str, Picture]:
    """Return the pictures that a canonical body needs, by their places: `image`, or `images/0` in a list."""
    if STAND_IN_START not in body:
        return {}
    found: dict[str, Picture] = {}
    for name, value in json.loads(body).items():
        entries = enumerate(value) if isinstance(value, list) else ((None, value),)
        for number, entry in entries:
            match = _STAND_IN.fullmatch(entry) if isinstance(entry, str) else None
            if match is not None:
                found[name if number is None else f"{name}/{number}"] = Picture(match["sha256"], match["extension"])
    return found


def with_stand_ins(echoed: Any, value: Any) -> Any:
    """Return an echoed value with the stand-ins of `value` for the addresses that name the same pictures."""
    if isinstance(value, list) and isinstance(echoed, list) and len(value) == len(echoed):
        return [with_stand_ins(*pair) for pair in zip(echoed, value, strict=True)]
    if isinstance(echoed, str) and isinstance(value, str) and _STAND_IN.fullmatch(value):
        named = urlsplit(echoed).path.rpartition("/")[2] == value.removeprefix(STAND_IN_START)
        return value if named else echoed
    return echoed


def picture_file(database: Path, picture: Picture) -> Path | None:
    """Return a file that had the picture's bytes when the manifest was read; None if the item table names none."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
        row = db.execute(
            "SELECT path FROM picture WHERE sha256 = ? ORDER BY path LIMIT 1", (picture.sha256,)
        ).fetchone()
    return None if row is None else Path(row[0])


def some_picture(database: Path) -> Picture | None:
    """Return one of the pictures that an item table names; None if there is none."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
        row = db.execute("SELECT sha256, extension FROM picture LIMIT 1").fetchone()
    return None if row is None else Picture(*row)
