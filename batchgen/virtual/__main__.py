"""`python -m batchgen.virtual`: long soaks, for any number of seeds and items."""

import logging
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import click

from batchgen.virtual.soak import Story, night, soak


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=100, show_default=True, help="How many stories to play.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="The first seed.")
@click.option("--items", type=click.IntRange(4), default=100, show_default=True, help="Items in each story.")
@click.option("--chains", is_flag=True, help="Items that need outputs of other items.")
@click.option(
    "--night", "one_night", is_flag=True, help="One night of chains, with a kill, budgets, and the morning after."
)
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where to work, best in memory.")
def command(seeds: int, first: int, items: int, folder: Path | None, *, chains: bool, one_night: bool) -> None:
    """Play stories of faults, crashes and resumes in virtual time; exit 1 where a promise was broken."""
    log = logging.getLogger("batchgen")
    click.get_current_context().call_on_close(partial(log.setLevel, log.level))
    log.setLevel(logging.CRITICAL)  # every fault would be told
    stories = []
    for seed in range(first, first + seeds):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            run = Path(scratch) / "run"
            stories.append(night(seed, items, run) if one_night else soak(seed, items, run, chained=chains))
        click.echo(_line(stories[-1]))
    for line in _sum(stories):
        click.echo(line)
    sys.exit(any(story.violations for story in stories))


def _line(story: Story) -> str:
    counts = " ".join(f"{state}={count}" for state, count in sorted(story.counts.items()))
    line = (
        f"seed {story.seed}: accepted={story.accepted} crashes={story.crashes} invocations={story.invocations}"
        f" hours={story.hours:.1f} {counts} trace={story.trace[:12]}"
    )
    return "\n".join([line, *(f"  BROKEN: {violation}" for violation in story.violations)])


def _sum(stories: list[Story]) -> list[str]:
    struck = sum((story.struck for story in stories), Counter[str]())
    jobs, crashes = sum(s.accepted for s in stories), sum(s.crashes for s in stories)
    invocations, hours = sum(s.invocations for s in stories), sum(s.hours for s in stories)
    double, forgotten = sum(s.double_charges for s in stories), sum(s.forgotten for s in stories)
    broken = sum(len(s.violations) for s in stories)
    return [
        f"{len(stories)} seeds, {jobs:,} jobs accepted, {crashes:,} crashes, {invocations:,} invocations,",
        f"{hours:,.0f} virtual hours, {sum(s.put_back for s in stories):,} older copies of the books put back",
        f"double charges {double}, forgotten {forgotten}, promises broken {broken}",
        *(f"  {count:>10,} {fault}" for fault, count in struck.most_common() if count),
    ]


if __name__ == "__main__":
    command()
