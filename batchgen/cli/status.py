"""`batchgen status`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchgen.journal import Spend
    from batchgen.journal.standing import Doubt
    from batchgen.records import State

_SHOWN = 20
"""Doubts that are listed one by one."""


@click.command("status")
@click.argument("run")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(run: str, output: str | None, as_json: bool) -> int:  # noqa: FBT001 - click passes options by name
    """Show how a run stands, also while it goes on.

    RUN is a run folder, a manifest, or a run's name below the output folder. What is in doubt is listed with UTC second
    and request digest, so that it can be found in the provider's billing.
    """
    from contextlib import closing

    from batchgen.journal import FILE_NAME, open_for_reading, spend_of, sqlite_errors
    from batchgen.journal.lock import owner
    from batchgen.journal.rows import facts_of
    from batchgen.journal.standing import counts_of, doubts
    from batchgen.locate import find_run
    from batchgen.manifest import read_name

    folder = find_run(run, output, os.environ, read_name)
    path = folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        facts, counts, spend, open_doubts = facts_of(db), counts_of(db), spend_of(db), list(doubts(db))
    running = owner(folder)
    name = facts.get("run", folder.name)
    if as_json:
        click.echo(json.dumps(_as_json(name, running, counts, spend, open_doubts), indent=2))
    else:
        click.echo("\n".join(_lines(name, folder, running, counts, spend, open_doubts)))
    return 0


def _as_json(
    name: str, running: str | None, counts: "dict[State, int]", spend: "Spend", open_doubts: "Sequence[Doubt]"
) -> dict[str, object]:
    from batchgen.records import State
    from batchgen.text import stamp, usd

    return {
        "format_version": 1,
        "run": name,
        "running": running is not None,
        "items": sum(counts.values()),
        **{state.value: counts.get(state, 0) for state in State},
        "charged_usd": usd(spend.charged),
        "refunded_usd": usd(-spend.refunded),
        "net_usd": usd(spend.charged - spend.refunded),
        "in_doubt_usd": usd(spend.in_doubt),
        "doubts": [
            {
                "item_id": doubt.item_id,
                "attempt": doubt.number,
                "request_digest": doubt.digest,
                "submitted_at": stamp(doubt.submitted_at),
                "estimated_usd": usd(doubt.estimated),
                "reason": doubt.reason,
            }
            for doubt in open_doubts
        ],
    }


def _lines(
    name: str,
    folder: Path,
    running: str | None,
    counts: "dict[State, int]",
    spend: "Spend",
    open_doubts: "Sequence[Doubt]",
) -> list[str]:
    from batchgen.records import State
    from batchgen.text import plural, printable, stamp, usd

    total = sum(counts.values())
    lines = [f"{name}: {plural(total, 'item')}, {f'running{running}' if running is not None else 'not running'}"]
    lines += [f"  {state.value.replace('_', ' '):<10} {counts[state]:>10,}" for state in State if counts.get(state)]
    lines += ["", f"  net {'$' + usd(spend.charged - spend.refunded):>17}"]
    if spend.in_doubt:
        lines.append(f"  in doubt {'$' + usd(spend.in_doubt):>12}")
    if open_doubts:
        lines += ["", f"{plural(len(open_doubts), 'item')} in doubt (UTC, attempt, digest, estimate, reason):"]
        lines += [
            f"  {stamp(doubt.submitted_at)}  {doubt.item_id} #{doubt.number}  {doubt.digest[:16]}"
            f"  ${usd(doubt.estimated)}  {printable(doubt.reason, 160)}"
            for doubt in open_doubts[:_SHOWN]
        ]
        if len(open_doubts) > _SHOWN:
            lines.append(f"  and {len(open_doubts) - _SHOWN:,} more: `--json` lists all")
    return [*lines, "", f"folder {folder}"]
