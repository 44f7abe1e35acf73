"""What the files of purchases are, and what was found about them.

A row is about the file with its SHA-256. One that was downloaded again and is another gets a new row in its place; a
file without a row was never looked at: an older version stored it, or the journal was rebuilt.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from batchgen.core.records import COLLECTABLE, StoredFile
from batchgen.journal.attempts import WORK_COLUMNS, Work, read_work
from batchgen.media.facts import Facts


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a file, as it is recorded with it."""

    facts: Facts
    flags: tuple[str, ...] = ()
    judged: bool = False
    """Whether everything that is expected of it was looked at."""


@dataclass(frozen=True, slots=True)
class UnjudgedFile:
    """A file on disk of which not everything was looked at."""

    attempt: int
    """The attempt's key."""
    work: Work
    file: StoredFile
    facts: Facts | None
    """None: it was never looked at."""
    scale: str | None
    """As `Attempt.scale`."""
    siblings: tuple[str, ...]
    """The looks of the outputs with lower numbers of the same purchase."""

    @property
    def place(self) -> tuple[int, int]:
        """Its place in the order in which files are judged."""
        return self.attempt, self.file.output


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about the files of a purchase so far."""

    complete: bool
    """Whether all of its files are judged."""
    flags: tuple[str, ...]
    """The flags of its files, each once."""


class DeliveredFiles:
    """The journal's part about what was delivered."""

    db: sqlite3.Connection

    def put_findings(self, attempt: int, file: StoredFile, findings: Findings) -> None:
        """Record what a file is, in place of what was known of an output (of the attempt with this key)."""
        facts = findings.facts
        self.db.execute(
            "INSERT OR REPLACE INTO delivered (attempt, number, sha256, width, height, duration_ms, frame_rate, codec,"
            " sound, c2pa, judged, flags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                attempt, file.output, file.sha256, facts.width, facts.height, facts.duration_ms,
                None if facts.frame_rate is None else str(facts.frame_rate), facts.codec, facts.sound, facts.c2pa,
                findings.judged, ";".join(findings.flags),
            ),
        )  # fmt: skip

    def renew_findings(self, attempt: int, file: StoredFile, findings: Findings) -> None:
        """Record what a file is that was downloaded again. One that is the same as before keeps what was found.

        Another one is judged anew, and so are its siblings, which may have been compared with the one before.
        """
        known = self.db.execute(
            "SELECT 1 FROM delivered WHERE attempt = ? AND number = ? AND sha256 = ?",
            (attempt, file.output, file.sha256),
        ).fetchone()
        if known is None:
            self.put_findings(attempt, file, findings)
            self.db.execute("UPDATE delivered SET judged = 0 WHERE attempt = ? AND look IS NOT NULL", (attempt,))

    def next_unjudged(self, after: tuple[int, int]) -> UnjudgedFile | None:
        """Return the next file to be judged after a place; None if there is none.

        One at a time, since each is compared with what was seen of those before it. Files of purchases whose other
        files are still to come are left for later.
        """
        return _read_file(self.db.execute(_UNJUDGED, after).fetchone())

    def has_unjudged(self) -> bool:
        """Return whether there are files to be judged, of whatever purchases."""
        return self.db.execute("SELECT 1 FROM delivered WHERE judged = 0 LIMIT 1").fetchone() is not None

    def next_to_judge(self, after: tuple[int, int], *, again: bool) -> UnjudgedFile | None:
        """As `next_unjudged`, of selected items, and with files that were never looked at; all files, if `again`."""
        return _read_file(self.db.execute(_TO_JUDGE, (*after, again)).fetchone())

    def record_judgement(self, file: UnjudgedFile, look: str | None, flags: Sequence[str]) -> Verdict:
        """Record what was found about a file, with its perceptual hash if it was decoded."""
        return self.put_judgement(file.attempt, file.file.output, file.file.sha256, look, flags)

    def put_judgement(self, attempt: int, output: int, sha256: str, look: str | None, flags: Sequence[str]) -> Verdict:
        """As `record_judgement`, of the file with this SHA-256 that is an output of the attempt with this key."""
        self.db.execute(
            "UPDATE delivered SET judged = 1, look = ?, flags = ? WHERE attempt = ? AND number = ? AND sha256 = ?",
            (look, ";".join(flags), attempt, output, sha256),
        )
        return self.verdict_of(attempt)

    def verdict_of(self, attempt: int) -> Verdict:
        """Return how a purchase (by its key) stands."""
        rows = self.db.execute(
            "SELECT judged, flags FROM delivered WHERE attempt = ? ORDER BY number", (attempt,)
        ).fetchall()
        found = dict.fromkeys(flag for _, flags_ in rows if flags_ for flag in flags_.split(";"))
        return Verdict(all(judged for judged, _ in rows), tuple(found))


def _read_file(row: Sequence[object] | None) -> UnjudgedFile | None:
    if row is None:
        return None
    attempt, number, path, size, sha256, scale, known, siblings = row[:8]
    return UnjudgedFile(
        int(str(attempt)), read_work(row[8:]), StoredFile(int(str(number)), str(path), int(str(size)), str(sha256)),
        None if known is None else _read_facts(json.loads(str(known))), None if scale is None else str(scale),
        tuple(json.loads(str(siblings))),
    )  # fmt: skip


def _read_facts(known: Sequence[Any]) -> Facts:
    width, height, duration_ms, frame_rate, codec, sound, c2pa = known
    return Facts(
        width, height, duration_ms, None if frame_rate is None else Fraction(frame_rate), codec,
        None if sound is None else bool(sound), None if c2pa is None else bool(c2pa),
    )  # fmt: skip


# As one value, since there are many columns; a file that was never looked at has none.
_FACTS = "json_array(d.width, d.height, d.duration_ms, d.frame_rate, d.codec, d.sound, d.c2pa)"
_SIBLINGS = (
    "(SELECT json_group_array(s.look) FROM (SELECT look FROM delivered"
    " WHERE attempt = o.attempt AND number < o.number AND look IS NOT NULL ORDER BY number) s)"
)
_FILE = f"SELECT o.attempt, o.number, o.path, o.bytes, o.sha256, a.scale, {{facts}}, {_SIBLINGS}, {WORK_COLUMNS}"
_WHOLE = f"o.path IS NOT NULL AND a.state NOT IN {COLLECTABLE.sql}"
_UNJUDGED = f"""
{_FILE.format(facts=_FACTS)}
FROM delivered d CROSS JOIN output o USING (attempt, number, sha256) CROSS JOIN attempt a ON a.key = d.attempt
CROSS JOIN item i ON i.key = a.item
WHERE d.judged = 0 AND (d.attempt, d.number) > (?, ?) AND {_WHOLE} ORDER BY d.attempt, d.number LIMIT 1
"""
_TO_JUDGE = f"""
{_FILE.format(facts=f"iif(d.attempt IS NULL, NULL, {_FACTS})")}
FROM output o CROSS JOIN attempt a ON a.key = o.attempt CROSS JOIN item i ON i.key = a.item
LEFT JOIN delivered d ON (d.attempt, d.number, d.sha256) = (o.attempt, o.number, o.sha256)
WHERE (o.attempt, o.number) > (?, ?) AND (? OR d.judged IS NOT 1) AND {_WHOLE} AND wanted(i.id, i.tags)
ORDER BY o.attempt, o.number LIMIT 1
"""
