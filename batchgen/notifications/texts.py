"""What notifications say: pure functions from the figures of a run to bodies, sentences and variables.

The figures have the names of `summary.json`; what is not known yet is None.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from batchgen.core.text import stamp

FORMAT_VERSION = 1
BODY_LIMIT = 10_000
"""Bytes of a ping's body: what Healthchecks keeps of one, unless its operator allows more."""
VARIABLES = "BATCHGEN_"
"""How the names of variables begin that a command is given."""

Figures = Mapping[str, Any]

_MEANINGS = {
    0: "finished",
    1: "finished, but not everything succeeded",
    2: "refused, nothing was bought",
    3: "stopped",
    4: "finished, with charges in doubt",
    5: "stopped from outside",
    6: "the run folder cannot be used, nothing was bought",
    70: "stopped by a bug",
    130: "interrupted",
}
_REASONS = {
    "month": "the month's budget is reached",
    "until": "what is left would end later than --until",
    "max_failures": "too many items failed",
    "max_flagged": "too many items are flagged",
    "canary": "a canary item did not pass",
    "waiting_for_pick": "items wait for a pick",
    "key": "the key was refused",
    "balance": "the balance is used up",
    "in_doubt": "too many items in doubt",
    "disk_full": "the disk is full",
    "object_store": "the object store of the outputs failed",
    "assets": "local pictures cannot be sent",
    "engine": "its engine or workers cannot be used",
    "outage": "the API cannot be reached, or is too busy",
    "interrupted": "",  # the exit code says so
}
"""Words for people, where `stopped_because` says little by itself."""


def end_text(label: str, figures: Figures) -> str:
    """Return one sentence on how a run ended; `label` is its name, or that of its manifest."""
    code, why = figures["exit_code"], figures.get("stopped_because")
    reason = _REASONS.get(why, why.replace("_", " ")) if why else ""
    because = f": {reason}" if reason else ""
    return f"{label} {_MEANINGS.get(code, 'ended')}{because} (exit code {code}){_standing(figures)}"


def alert_text(label: str, sentence: str, figures: Figures) -> str:
    """Return one sentence on something that happened while a run goes on."""
    return f"{label}: {sentence}{_standing(figures)}"


def _standing(figures: Figures) -> str:
    """Return the counts and the money, as a sentence of their own."""
    if figures.get("items") is None:
        return ""
    others = ("failed", "rejected", "lost", "in_doubt", "skipped", "in_flight", "pending")
    words = [f"{figures['done']:,} of {figures['items']:,} done"]
    words += [f"{figures[state]:,} {state.replace('_', ' ')}" for state in others if figures.get(state)]
    mark = " of pretend money" if figures.get("simulated") else ""
    return f". {', '.join(words)}; ${figures['net_usd']}{mark} net"


def webhook_body(event: str, at: datetime, text: str, figures: Figures) -> bytes:
    """Return the JSON that `--notify` sends: always the same keys."""
    message = {"format_version": FORMAT_VERSION, "event": event, "run": None, "at": stamp(at), "text": text}
    return json.dumps({**message, **{k: v for k, v in figures.items() if k != "format_version"}}).encode()


def ping_body(text: str, figures: Figures, more: Sequence[str] = ()) -> bytes:
    """Return the body of a ping: a sentence, the figures, and `more` lines, cut at a line to `BODY_LIMIT` bytes."""
    lines = [text, "", *(f"{name}: {_plain(value)}" for name, value in figures.items() if value is not None)]
    return cut("\n".join([*lines, *([""] if more else []), *more, ""]).encode(), BODY_LIMIT)


def cut(body: bytes, limit: int) -> bytes:
    """Return a body of several lines, without those at its end that make it longer than `limit` bytes."""
    if len(body) <= limit:
        return body
    note = b"(cut)\n"
    return body[: body.rfind(b"\n", 0, limit - len(note)) + 1] + note


def variables(figures: Figures, *, at: datetime, text: str, folder: str) -> dict[str, str]:
    """Return the environment variables for `--on-exit`; what is not known is empty."""
    found = {"event": "end", "at": stamp(at), "text": text, "run_folder": folder, **figures}
    del found["format_version"]
    return {f"{VARIABLES}{name.upper()}": "" if value is None else _plain(value) for name, value in found.items()}


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
