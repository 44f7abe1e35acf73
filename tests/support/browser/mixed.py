"""A run of 200 mixed items, bought from a simulator: for the tests in a browser, and for the pictures in docs/.

Pictures of several shapes, clips, chains, failures, flags, a doubt, picks, and items that wait for a pick.
"""

import csv
import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.running import KEY, installed, simulator

ITEMS = 200
NAME = "spring-catalogue"
FAULTS = ("failed=0.04", "lost_answer=0.006", "rejected=0.01", "blank=0.02", "small=0.03", "short=0.05", "slow=0.03")
_HEADER = f"""\
version: 1
name: {NAME}
description: Stills and clips for the spring catalogue
run: {{concurrency: 16, poll_min: 0.1, poll_max: 0.5, max_cost: 40.00}}
defaults:
  model: hera-1.0-text-to-image
  expect: {{blank: false, black: false, frozen: false}}
items:
  - rows: stills.csv
    id: ${{id}}
    prompt: ${{prompt}}
    aspect_ratio: ${{ratio}}
    tags: {{client: "${{client}}", series: "${{series}}"}}
  - rows: sets.csv
    id: ${{id}}
    prompt: ${{prompt}}
    aspect_ratio: ${{ratio}}
    num_images: 3
    tags: {{client: "${{client}}", series: sets}}
  - rows: clips.csv
    id: ${{id}}
    model: centaurus-1.0-text-to-video
    prompt: ${{prompt}}
    duration: ${{seconds}}
    aspect_ratio: ${{ratio}}
    seed: 7
    tags: {{client: "${{client}}", series: clips}}
"""
_CHAINED = """\
  - id: {id}-moves
    model: zeus-1.0-image-to-video
    image: ${{items.{id}.output}}
    prompt: The camera moves in slowly, light plays over the glaze
    tags: {{client: atelier-lumen, series: motion}}
"""
_PICKED = """\
  - id: {id}-chosen-moves
    model: zeus-1.0-image-to-video
    image: ${{items.{id}.picked}}
    prompt: A slow turn on a wooden stand, soft shadows
    tags: {{client: harbour-cafe, series: motion}}
"""
_CLIENTS = ("harbour-cafe", "atelier-lumen", "north-pier")
_THINGS = ("teapot", "cup", "jug", "bowl", "plate", "vase", "pitcher", "dish")
_GLAZES = ("cobalt", "celadon", "ochre", "white")
_PLACES = (
    ("linen", "on a linen cloth, morning light", "1:1"),
    ("slate", "on a slate table, window light from the left", "4:3"),
    ("garden", "in a kitchen garden after rain, wide shot", "16:9"),
)
_POSTERS = (
    "A red kite over a wheat field", "Long waves on a pebble beach at dusk", "A paper lantern over a canal",
    "An orchard in April, petals on wet grass", "Gulls above a pier in fog", "A rowing boat drawn up on shingle",
    "A bicycle against a whitewashed wall", "Bread on a marble counter, flour in the air",
    "A lighthouse between two storms", "A greenhouse at night, lit from inside", "Market stalls under striped awnings",
    "A fox crosses a frozen pond at sunrise",
)  # fmt: skip
_CLIPS = (
    "Steam rises from a teacup", "Waves roll onto a pebble beach, low camera", "A glazed jug turns once on a stand",
    "Petals drift past an open window", "A hand dusts flour over dough", "Rain runs down a greenhouse pane",
    "A kiln door opens, orange light", "Swallows over a harbour at dusk", "A brush draws a cobalt line on a plate",
    "Lanterns sway over dark water", "Fog lifts from a pier", "A loom at work, close view",
)  # fmt: skip


def write_mixed_manifest(folder: Path, items: int = ITEMS) -> Path:
    """Write the manifest and its rows to `folder`; with fewer `items`, their beginning."""
    folder.mkdir(parents=True, exist_ok=True)
    stills = list(itertools.islice(_stills(), max(items - 68, 1) if items >= 68 else items))
    _write(folder / "stills.csv", ("id", "prompt", "ratio", "client", "series"), stills)
    whole = items >= 68
    _write(folder / "sets.csv", ("id", "prompt", "ratio", "client"), _sets() if whole else ())
    _write(folder / "clips.csv", ("id", "prompt", "seconds", "ratio", "client"), _clips() if whole else ())
    text = _HEADER
    if whole:
        chained = [f"{thing}-{glaze}-linen" for thing, glaze in itertools.product(_THINGS[:4], _GLAZES[:3])]
        text += "".join(_CHAINED.format(id=id_) for id_ in chained)
        text += "".join(_PICKED.format(id=f"set-{number:02}") for number in range(1, 9))
    path = folder / f"{NAME}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _write(path: Path, columns: tuple[str, ...], rows: object) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(columns)
        out.writerows(rows)  # type: ignore[arg-type]


def _stills() -> Iterator[tuple[str, ...]]:
    for (place, where, ratio), glaze, thing in itertools.product(_PLACES, _GLAZES, _THINGS):
        prompt = f"A {thing} with a matt {glaze} glaze {where}"
        yield f"{thing}-{glaze}-{place}", prompt, ratio, _CLIENTS[_THINGS.index(thing) % 2], place
    for number, prompt in enumerate(_POSTERS * 100):
        ratio = ("9:16", "3:4", "2:3", "21:9")[number % 4]
        yield f"poster-{number + 1:03}", f"{prompt}, poster, bold shapes", ratio, "north-pier", "posters"


def _sets() -> Iterator[tuple[str, ...]]:
    for number in range(1, 25):
        thing, glaze = _THINGS[number % 8], _GLAZES[number % 4]
        prompt = f"Table set {number}: {thing}s in {glaze}, overhead view, hard shadows"
        yield f"set-{number:02}", prompt, ("3:2", "1:1")[number % 2], _CLIENTS[number % 3]


def _clips() -> Iterator[tuple[str, ...]]:
    for number, prompt in enumerate(_CLIPS * 2):
        yield (
            f"clip-{number + 1:02}", prompt, str(2 + number % 4), ("16:9", "9:16", "1:1")[number % 3],
            _CLIENTS[number % 3],
        )  # fmt: skip


class MixedRun:
    """The run folder, and the command line that bought it."""

    def __init__(self, folder: Path, manifest: Path, url: str) -> None:
        self.folder, self.manifest, self.url = folder, manifest, url

    def batchgen(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command beside the manifest, against the simulator."""
        return installed(*arguments, cwd=self.manifest.parent, BATCHGEN_BASE_URL=self.url)


@contextmanager
def mixed_run(
    folder: Path, *, items: int = ITEMS, speed: float = 60, faults: tuple[str, ...] = FAULTS, buy: bool = True
) -> Iterator[MixedRun]:
    """Write the manifest to `folder`, start a simulator, and `buy` what the manifest asks for.

    The simulator's seed is fixed, so the same items fail each time. It ends with the block.
    """
    manifest = write_mixed_manifest(folder, items)
    options = [word for fault in faults for word in ("--fault", fault)]
    with simulator("--seed", 5, "--speed", speed, "--key", KEY, *options) as serving:
        run = MixedRun(folder / "output" / NAME, manifest, serving.url)
        if buy:
            bought = run.batchgen("run", manifest, "--yes", "--quiet")
            assert bought.returncode in (0, 3, 4), bought.stderr
        yield run
