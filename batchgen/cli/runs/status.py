"""`batchgen status`."""

import json
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchgen.core.records import State
    from batchgen.journal import Spend
    from batchgen.journal.queries.run_status import Doubt

_SHOWN = 20
"""How many items in doubt are listed one by one."""


@dataclass(frozen=True, slots=True)
class _Standing:
    run: str
    folder: Path
    owner: str | None
    """The end of a sentence that names the process that runs it; None: it is not running."""
    simulated: bool
    """Whether it is pretend money."""
    counts: "dict[State, int]"
    spend: "Spend"
    doubts: "list[Doubt]"
    fewer: int
    """Items that are done, but with fewer outputs than ordered."""


@click.command("status")
@click.argument("run")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(run: str, output: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Show the state of a run, even while it is running.

    RUN names a run: its folder, its manifest, or its name within the output folder. Items in doubt are listed with the
    time (UTC) and digest of their requests, so that you can find them in the provider's billing.
    """
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run

    standing = _read(find_run(run, output, os.environ, read_name))
    click.echo(json.dumps(_as_json(standing), indent=2) if as_json else _as_text(standing))


def _read(folder: Path) -> _Standing:
    from batchgen.journal import FILE_NAME, is_simulated, open_for_reading, spend_of, sqlite_errors
    from batchgen.journal.lock import owner
    from batchgen.journal.queries.report_rows import facts_of
    from batchgen.journal.queries.run_status import counts_of, doubts, fewer_outputs_of

    path = folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        facts = facts_of(db)
        name, simulated = facts.get("run", folder.name), is_simulated(facts)
        return _Standing(
            name, folder, owner(folder), simulated, counts_of(db), spend_of(db), list(doubts(db)), fewer_outputs_of(db)
        )


def _as_json(standing: _Standing) -> dict[str, object]:
    from batchgen.core.records import State
    from batchgen.core.text import stamp, usd

    spend = standing.spend
    return {
        "format_version": 1,
        "run": standing.run,
        "simulated": standing.simulated,
        "running": standing.owner is not None,
        "items": sum(standing.counts.values()),
        **{state.value: standing.counts.get(state, 0) for state in State},
        "charged_usd": usd(spend.charged),
        "refunded_usd": usd(-spend.refunded),
        "net_usd": usd(spend.charged - spend.refunded),
        "in_doubt_usd": usd(spend.in_doubt),
        "fewer_outputs": standing.fewer,
        "doubts": [
            {
                "item_id": doubt.item_id,
                "attempt": doubt.number,
                "request_digest": doubt.digest,
                "submitted_at": stamp(doubt.submitted_at),
                "in_doubt_usd": usd(doubt.reserved),
                "reason": doubt.reason,
            }
            for doubt in standing.doubts
        ],
    }


def _as_text(standing: _Standing) -> str:
    from batchgen.core.records import State
    from batchgen.core.text import plural, printable, stamp, usd
    from batchgen.journal import money_mark

    counts, spend, open_doubts = standing.counts, standing.spend, standing.doubts
    running = "not running" if standing.owner is None else f"running{standing.owner}"
    mark = money_mark(simulated=standing.simulated)
    lines = [f"{standing.run}: {plural(sum(counts.values()), 'item')}, {running}{mark}"]
    lines += [f"  {state.value.replace('_', ' '):<10} {counts[state]:>10,}" for state in State if counts.get(state)]
    lines += ["", f"  net {'$' + usd(spend.charged - spend.refunded):>17}"]
    if spend.in_doubt:
        lines.append(f"  in doubt {'$' + usd(spend.in_doubt):>12}")
    if standing.fewer:
        lines += [
            "",
            f"{plural(standing.fewer, 'item')} delivered fewer outputs than ordered: run `batchgen verify --refetch`",
        ]
    if open_doubts:
        lines += ["", f"{plural(len(open_doubts), 'item')} in doubt (UTC, attempt, digest, reserved, reason):"]
        lines += [
            f"  {stamp(doubt.submitted_at)}  {doubt.item_id} #{doubt.number}  {doubt.digest[:16]}"
            f"  ${usd(doubt.reserved)}  {printable(doubt.reason, 160)}"
            for doubt in open_doubts[:_SHOWN]
        ]
        if len(open_doubts) > _SHOWN:
            lines.append(f"  and {len(open_doubts) - _SHOWN:,} more: `--json` lists all")
    return "\n".join([*lines, "", f"folder {standing.folder}"])
