"""Manifests of any length for the measurements: prompts that differ, parameters that repeat, as in a catalogue."""

import csv
import json
import os
import random
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

MODEL = "hera-1.0-text-to-image"
WIDE_MODEL = "centaurus-1.0-text-to-video"
SCHEMAS = Path(__file__).parent.parent / "schemas" / "models"
SCHEMA = SCHEMAS / f"{MODEL}.schema.json"
PROMPTS = os.environ.get("PROMPTS")
"""A folder with prompts that others wrote: `.tsv` files with a column `Prompt`, and `.txt` files with one a line."""
_ROWS = """\
    id: ${SKU}
    prompt: ${Product}
    aspect_ratio: ${Ratio}
    tags: {line: "${Line}"}
"""
_RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:2")
_HOW = ("A studio packshot of", "A close-up of", "A flat lay with", "An editorial photograph of", "A still life with")
_WHAT = ("a ceramic mug", "a glass vase", "a leather satchel", "two wool blankets", "a brass desk lamp", "an oak stool")
_WHERE = ("on white marble", "on a rough wooden table", "against deep green velvet", "beside a window in the rain")
_LIGHT = (
    "soft light from the left",
    "hard noon light",
    "golden hour, long shadows",
    "a single candle, dark background",
)
_END = ("shallow depth of field", "35 mm, slight grain", "muted colours", "symmetrical, centred", "high detail")


def rows(count: int) -> Iterator[dict[str, str]]:
    """Yield so many rows with the columns SKU, Product, Ratio and Line; the same ones every time."""
    draw = random.Random(18)
    for number in range(count):
        prompt = f"{draw.choice(_HOW)} {draw.choice(_WHAT)} no. {number} {draw.choice(_WHERE)}, {draw.choice(_LIGHT)}"
        yield {
            "SKU": f"sku-{number:07}",
            "Product": f"{prompt}, {draw.choice(_END)}",
            "Ratio": draw.choice(_RATIOS),
            "Line": draw.choice(("kitchen", "living", "outdoor")),
        }


def _head(name: str) -> str:
    return f"version: 1\nname: {name}\ntags: {{client: acme}}\ndefaults:\n  model: {MODEL}\n  resolution: 2k\nitems:\n"


def write_yaml(folder: Path, count: int) -> Path:
    """Write a manifest with every item written out, and return its path."""
    path = folder / f"items-{count}.yaml"
    with path.open("w", encoding="utf-8") as out:
        out.write(_head(f"items-{count}"))
        for row in rows(count):
            out.write(f"  - id: {row['SKU']}\n    prompt: {row['Product']}\n    aspect_ratio: '{row['Ratio']}'\n")
            out.write(f"    num_images: 1\n    tags: {{line: {row['Line']}}}\n")
    return path


def write_wide(folder: Path, count: int) -> Path:
    """Write a manifest whose items say everything themselves, in eight keys each, and return its path."""
    path = folder / f"wide-{count}.yaml"
    draw = random.Random(18)
    with path.open("w", encoding="utf-8") as out:
        out.write(f"version: 1\nname: wide-{count}\nitems:\n")
        for number, prompt in enumerate(islice(cycle(_prompts() or _made_up()), count)):
            out.write(
                f"  - id: clip-{number:06}\n"
                f"    model: {WIDE_MODEL}\n"
                f"    prompt: {json.dumps(f'{prompt}, take {number}', ensure_ascii=False)}\n"
                f'    aspect_ratio: "{draw.choice(("16:9", "9:16", "1:1"))}"\n'
                f"    resolution: {draw.choice(('720p', '1080p'))}\n"
                f"    duration: {draw.choice((2, 5, 10))}\n"
                f"    seed: {draw.randrange(2**31)}\n"
                f"    tags: {{line: {draw.choice(('kitchen', 'living', 'outdoor'))}}}\n"
            )
    return path


def _prompts() -> list[str]:
    found: list[str] = []
    for path in sorted(Path(PROMPTS).iterdir()) if PROMPTS else ():
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".tsv":
                found += (row["Prompt"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
            elif path.suffix == ".txt":
                found += filter(None, map(str.strip, file))
    return found


def _made_up() -> list[str]:
    """Return prompts of the lengths that people write: from two words to a few sentences."""
    draw = random.Random(18)
    return [" ".join(row["Product"].split()[: draw.randrange(2, 30)]) for row in rows(2_000)]


def write_rows(folder: Path, count: int, kind: str) -> Path:
    """Write a manifest whose items come from a `.csv` or `.jsonl` file (`kind`), and return its path."""
    source = folder / f"rows-{count}.{kind}"
    with source.open("w", encoding="utf-8", newline="") as out:
        if kind == "csv":
            writer = csv.DictWriter(out, ["SKU", "Product", "Ratio", "Line"])
            writer.writeheader()
            writer.writerows(rows(count))
        else:
            out.writelines(json.dumps(row) + "\n" for row in rows(count))
    path = folder / f"{kind}-{count}.yaml"
    path.write_text(_head(f"{kind}-{count}") + f"  - rows: {source.name}\n{_ROWS}", encoding="utf-8")
    return path
