"""Reading manifests: speed beside YAML's and JSON Schema's stock parts, memory from ten thousand items to a million."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.manifests import SCHEMA, write_rows, write_yaml
from benchmarks.measure import Usage, batchgen, interleaved, median_cpu, part, run, serving
from benchmarks.table import Row

MOST_MIB = 120


def rows(folder: Path, speed: int, sizes: tuple[int, int], times: int) -> Iterator[Row]:
    """Measure speed at `speed` items, and memory at the two `sizes`."""
    yield from _speed(folder, speed, times)
    for command, kind in (("validate", "yaml"), ("plan", "yaml"), ("validate", "jsonl"), ("validate", "csv")):
        few, many = (run(batchgen(command, _written(folder, size, kind))) for size in sizes)
        yield from _memory(f"{command}, {kind}", few, many, sizes)
    with serving() as base:
        few, many = (_staged(_written(folder, size, "jsonl"), base, folder) for size in sizes)
    yield from _memory("run that lists all and buys nothing, jsonl", few, many, sizes)


def _written(folder: Path, items: int, kind: str) -> Path:
    made = folder / f"{'items' if kind == 'yaml' else kind}-{items}.yaml"
    if not made.exists():
        made = write_yaml(folder, items) if kind == "yaml" else write_rows(folder, items, kind)
    return made


def _staged(manifest: Path, base: str, folder: Path) -> Usage:
    options = ("--base-url", base, "--output", folder / "staged", "--yes", "--quiet", "--max-new", 0)
    return run(batchgen("run", manifest, *options), accept=(3,))


def _speed(folder: Path, items: int, times: int) -> Iterator[Row]:
    manifest = _written(folder, items, "yaml")
    ours, events = interleaved(
        times, lambda: run(batchgen("validate", manifest)), lambda: run(part("reading", "events", manifest))
    )
    stock = run(part("reading", "stock", manifest))
    what = f"validate, {items:,} items in YAML"
    measured = f"{median_cpu(ours):.2f} s CPU"
    against = f"SafeLoader and a prebuilt jsonschema validator: {stock.cpu:.1f} s CPU, {stock.peak:.0f} MiB"
    yield Row(f"{what}: times faster", measured, against, stock.cpu / median_cpu(ours), least=12)
    bare = f"a bare loop over libyaml's events: {median_cpu(events):.2f} s CPU"
    yield Row(f"{what}: beside parsing alone", measured, bare, median_cpu(ours) / median_cpu(events))


def _memory(what: str, few: Usage, many: Usage, sizes: tuple[int, int]) -> Iterator[Row]:
    against = f"{sizes[0]:,} items: {few.peak:.0f} MiB, {few.cpu:.1f} s CPU"
    measured = f"{many.peak:.0f} MiB, {many.cpu:.1f} s CPU"
    yield Row(f"peak memory at {sizes[1]:,} items: {what}", measured, against, many.peak / few.peak, most=1.2)
    share = f"the bound of {MOST_MIB} MiB"
    yield Row(f"peak memory at {sizes[1]:,} items: {what}", f"{many.peak:.0f} MiB", share, many.peak / MOST_MIB, most=1)


def _stock(manifest: Path) -> int:
    import json

    import jsonschema
    import yaml

    with manifest.open(encoding="utf-8") as file:
        document = yaml.load(file, yaml.SafeLoader)
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    checked = 0
    for item in document["items"]:
        body = {**document["defaults"], **item}
        validator.validate({name: value for name, value in body.items() if name not in ("id", "tags")})
        checked += 1
    return checked


def _events(manifest: Path) -> int:
    from yaml._yaml import CParser
    from yaml.events import StreamEndEvent

    seen = 0
    with manifest.open("rb") as file:
        get = CParser(file).get_event
        while type(get()) is not StreamEndEvent:
            seen += 1
    return seen


if __name__ == "__main__":
    print({"stock": _stock, "events": _events}[sys.argv[1]](Path(sys.argv[2])))
