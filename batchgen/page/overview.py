"""How a run stands as a whole: what it made and cost, what went wrong, and what to do next. JSON values."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from batchgen.core.records import INCOMPLETE, State
from batchgen.core.text import plural, printable, stamp, usd, usd_or_null
from batchgen.journal import is_simulated, spend_of
from batchgen.journal.queries.judged import unjudged_of
from batchgen.journal.queries.page import TileSums, sums
from batchgen.journal.queries.report_rows import facts_of
from batchgen.journal.queries.run_status import Doubt, Waiting, doubts, fewer_outputs_of, waiting_items
from batchgen.journal.schema import moment
from batchgen.page.folders import command_without_folders, text_without_folders
from batchgen.page.groups import Groups, named
from batchgen.page.series import quantile, series_of
from batchgen.policy.stopping import Stop
from batchgen.standing.commands import continuing, reaching
from batchgen.standing.failures import Failures, Repair, failures_json, failures_of
from batchgen.standing.last_run import LastRun, last_run_of, why_it_ended
from batchgen.standing.next_steps import Situation, Step, next_steps, steps_json

FORMAT_VERSION = 1
_SHOWN = 100
FLAGS = {
    "small": "fewer pixels than ordered or expected",
    "aspect": "width to height differs from the aspect ratio that was ordered",
    "duration": "shorter or longer than ordered or expected",
    "blank": "of one colour",
    "black": "all black",
    "frozen": "nothing moves in the video",
    "duplicate": "looks like another output of the same item",
    "unknown_format": "in a format that is not known; kept as it came",
    "stale": "made with an output that its source has since made again",
}
"""What each flag means, in a few words."""


def overview_of(db: Connection, folder: Path, tiles: TileSums, now: datetime, *, running: bool) -> dict[str, Any]:
    """Return how a run stands; `folder` is its folder."""
    facts, groups, extent = facts_of(db), Groups(db), sums.extent(db)
    last, spend, failures = last_run_of(facts), spend_of(db), failures_of(db, facts)
    found, name = list(doubts(db)), facts.get("run", folder.name)
    left = sum((Decimal(price) * count for price, count in sums.pending_by_price(db)), Decimal(0))
    chosen, counts = tiles.chosen, groups.states
    waiting = waiting_items(db, chosen)
    situation = replace(
        _situation(db, folder, facts, groups, last), running=running, waiting=waiting.for_pick,
        kept_until=waiting.kept_until, source_expired=waiting.source_expired,
    )  # fmt: skip
    unfinished = sum(count for state, count in counts.items() if state is not State.DONE and state not in INCOMPLETE)
    return {
        "format_version": FORMAT_VERSION,
        "run": name,
        "simulated": is_simulated(facts),
        "made_at": stamp(now),
        "running": running,
        "stopped_because": last.stopped_because,
        "stop_text": text_without_folders(_why_it_ended(last, running=running, waiting=waiting.for_pick), folder),
        "exit_code": last.exit_code,
        "next": steps_json(_next(situation, failures.repair)),
        "items": sum(counts.values()),
        "counts": {state.value: counts[state] for state in State if counts.get(state)},
        "outputs": groups.outputs,
        "bytes": groups.bytes,
        "unfinished": unfinished,
        "started_at": None if extent.first is None else stamp(moment(extent.first)),
        "ended_at": _end(last, extent.last),
        "money": {
            "charged_usd": usd(spend.charged),
            "refunded_usd": usd(-spend.refunded),
            "net_usd": usd(spend.charged - spend.refunded),
            "in_doubt_usd": usd(spend.in_doubt),
            "left_usd": usd(left),
            "max_cost_usd": usd_or_null(last.max_cost),
            "budget_usd": usd_or_null(last.budget),
        },
        "series": series_of(db, extent, _cap(last)),
        "by_model": groups.by_model(),
        "by_tag": groups.by_tag(),
        "durations": _durations(db),
        **_failures(failures),
        "doubts": [_doubt(doubt, folder) for doubt in found[:_SHOWN]],
        "more_doubts": max(0, len(found) - _SHOWN),
        **_from_tiles(tiles, groups),
        "waiting": _waiting(db, waiting, chosen),
        "sample": None,
    }


def _durations(db: Connection) -> list[dict[str, Any]]:
    """Return how long finished jobs took, in seconds, the model with the most jobs first."""
    found = []
    for model, rows in groupby(sums.durations(db), itemgetter(0)):
        lengths = [(took, jobs) for _, took, jobs in rows]
        found.append({
            "model": model,
            "jobs": sum(jobs for _, jobs in lengths),
            "p10_s": quantile(lengths, 1) / 1000,
            "median_s": quantile(lengths, 5) / 1000,
            "p90_s": quantile(lengths, 9) / 1000,
            "longest_s": lengths[-1][0] / 1000,
        })  # fmt: skip
    return sorted(found, key=lambda one: -one["jobs"])


def _failures(failures: Failures) -> dict[str, Any]:
    shown = failures_json(failures)
    return {
        "failures": shown["failures"],
        "more_failures": shown["other_failures"],
        "repair": _repair(failures.repair),
        "lost": _repair(failures.lost),
    }


def _repair(repair: Repair | None) -> dict[str, Any] | None:
    if repair is None:
        return None
    return {
        "command": command_without_folders(repair.command),
        "items": repair.items,
        "estimated_usd": usd(repair.estimated),
    }


def _doubt(doubt: Doubt, folder: Path) -> dict[str, Any]:
    return {
        "item_id": doubt.item_id,
        "attempt": doubt.number,
        "submitted_at": stamp(doubt.submitted_at),
        "request_digest": doubt.digest,
        "in_doubt_usd": usd(doubt.reserved),
        "reason": printable(text_without_folders(doubt.reason, folder)),
        "command": shlex.join(["batchgen", "resolve", folder.name, doubt.item_id]),
    }


def _waiting(db: Connection, waiting: Waiting, chosen: Sequence[int]) -> dict[str, Any]:
    """Return what waits for a pick, and what it would cost; what is picked already is bought by the next run."""
    done = set(chosen)
    prices = ((Decimal(price), items) for price, items in sums.still_waiting(db, chosen))
    sources: dict[int, tuple[str, int, Decimal]] = {}
    for group in sums.waiting_for_picks(db):
        if group.key in done:
            continue
        _, items, amount = sources.get(group.key, ("", 0, Decimal(0)))
        amount += Decimal(group.estimated) * group.items
        sources[group.key] = (group.source, items + group.items, amount)
    return {
        "items": waiting.for_pick,
        "estimated_usd": usd(sum((price * items for price, items in prices), Decimal(0))),
        "kept_until": None if waiting.kept_until is None else stamp(waiting.kept_until),
        "sources": [
            {"item_id": source, "key": key, "waiting": items, "estimated_usd": usd(amount)}
            for key, (source, items, amount) in list(sources.items())[:_SHOWN]
        ],
    }


def _from_tiles(tiles: TileSums, groups: Groups) -> dict[str, Any]:
    picked = tiles.picked
    flags: Counter[str] = Counter()
    for together, outputs in tiles.flags:
        flags.update(dict.fromkeys(together.split(";"), outputs))
    return {
        "flags": [
            {"flag": flag, "outputs": outputs, "meaning": FLAGS.get(flag, "")} for flag, outputs in flags.most_common()
        ],
        "picks": {"keep": picked["keep"], "reject": picked["reject"], "unpicked": picked["none"]},
        "facets": groups.facets() | {"flags": named(flags.items())},
    }


def _situation(db: Connection, folder: Path, facts: Mapping[str, str], groups: Groups, last: LastRun) -> Situation:
    """Return how a run stands that does not run and waits for nothing, in names that tell no folder of a machine."""
    return Situation(
        folder=Path(folder.name),
        command=command_without_folders(continuing(facts, stopped_because=last.stopped_because)),
        reach=command_without_folders(reaching(facts)),
        counts=groups.states,
        stopped_because=last.stopped_because,
        killed=last.began_only,
        fewer=fewer_outputs_of(db),
        unjudged=unjudged_of(db),
    )


def _next(now: Situation, repair: Repair | None) -> tuple[Step, ...]:
    """Return what to do next, the most urgent first."""
    steps = next_steps(now)
    if now.running or repair is None:
        return steps
    text = f"Buy {plural(repair.items, 'failed item')} again for ${usd(repair.estimated)}"
    return (*steps, Step(text, command_without_folders(repair.command)))


def _why_it_ended(last: LastRun, *, running: bool, waiting: int) -> str:
    if not running and last.stopped_because == Stop.WAITING_FOR_PICK.word and not waiting:
        return "Everything that others wait for is picked; the next run buys them"
    return why_it_ended(last, running=running)


def _cap(last: LastRun) -> Decimal | None:
    """Return what the sum of costs may come to, USD: the lower one of the run folder's cap and this invocation's."""
    caps = [last.max_cost, None if last.budget is None else last.spent_before + last.budget]
    return min((cap for cap in caps if cap is not None), default=None)


def _end(last: LastRun, seen: int | None) -> str | None:
    if last.ended_at is not None:
        return stamp(last.ended_at)
    return None if seen is None else stamp(moment(seen))
