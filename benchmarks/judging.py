"""What judging does to a run: its throughput, and how late its event loop is, with and without files to be decoded."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Usage, batchgen, beside, run
from benchmarks.table import Row

_ROUNDS = 3
_EVERY = 0.01
_LATENESS = f"""
import asyncio, atexit, json, sys
from batchgen.scheduler import Scheduler
late = []
async def look():
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + {_EVERY}
        await asyncio.sleep({_EVERY})
        late.append(loop.time() - due)
run = Scheduler.run
async def watched(self):
    looking = asyncio.create_task(look())
    try:
        return await run(self)
    finally:
        looking.cancel()
Scheduler.run = watched
atexit.register(lambda: print(json.dumps(sorted(late)[int(len(late) * 0.99)] * 1000)))
"""
"""Has a run print, at its end, how many milliseconds late its event loop was in the worst of a hundred turns."""
_EXPECT = "{blank: false, black: false, unlike: 6}"


def rows(folder: Path, pictures: int, clips: int) -> Iterator[Row]:
    """Buy pictures, and then clips, both ways in turn."""
    for what, model, items in (
        ("pictures", "hera-1.0-text-to-image", pictures),
        ("clips", "centaurus-1.0-text-to-video", clips),
    ):
        options = ("--speed", 1000, "--port", 0, "--balance", 10_000, "--quiet", "--until-stdin-closes")
        with beside(batchgen("simulate", *options)) as line:
            base = line
            plain, judged = _raced(folder / what, model, items, base)
        walls = [statistics.median(usage.wall for usage in usages) for usages in (plain, judged)]
        late = [statistics.median(usage.json() for usage in usages) for usages in (plain, judged)]
        yield Row(
            f"{items} simulated {what}, decoded to be judged", f"{walls[1]:.1f} s", f"not judged: {walls[0]:.1f} s",
            walls[1] / walls[0],
        )  # fmt: skip
        yield Row(
            f"lateness of the event loop meanwhile, {what}, 99th percentile", f"{late[1]:.1f} ms",
            f"not judged: {late[0]:.1f} ms", late[1] / late[0],
        )  # fmt: skip


def _raced(folder: Path, model: str, items: int, base: str) -> list[list[Usage]]:
    """Run the same items without and with checks that decode, in turn."""
    found: list[list[Usage]] = [[], []]
    # The simulator keeps what it has drawn: a first run that is not counted draws everything.
    for number in range(-1, 2 * _ROUNDS):
        checks = _EXPECT if number % 2 else "null"
        at = folder / f"{number}"
        at.mkdir(parents=True)
        path = at / "judged.yaml"
        with path.open("w", encoding="utf-8") as out:
            out.write(f"version: 1\nname: judged\ndefaults: {{model: {model}, expect: {checks}}}\nitems:\n")
            out.writelines(f"  - {{id: wave-{n}, prompt: Wave number {n} at dusk}}\n" for n in range(items))
        arguments = ("--base-url", base, "--output", at / "output", "--yes", "--quiet", "--buy-again")
        command = batchgen("run", path, *arguments, "--poll-min", 0.05, "--poll-max", 0.1, before=_LATENESS)
        usage = run(command)
        if number >= 0:
            found[number % 2].append(usage)
    return found
