"""Reading manifests: speed beside YAML's and JSON Schema's stock parts, memory from ten thousand items to a million."""

import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.manifests import PROMPTS, SCHEMAS, write_rows, write_wide, write_yaml
from benchmarks.measure import Usage, batchgen, interleaved, median_cpu, part, run, serving
from benchmarks.table import Row

MOST_MIB = 120


def rows(folder: Path, speed: int, sizes: tuple[int, ...], times: int) -> Iterator[Row]:
    """Measure speed at `speed` items, and the memory of `validate` at the `sizes`."""
    yield from _speed(folder, speed, times)
    yield from _wide(folder, speed, times)
    usages = [_used("validate", "yaml", size, folder, "") for size in sizes]
    yield from _memory("validate, yaml", usages, sizes)


def memory_rows(folder: Path, sizes: tuple[int, ...]) -> Iterator[Row]:
    """Measure the memory of commands that read manifests and rows of these `sizes`."""
    cases = [("validate", "yaml"), ("plan", "yaml"), ("run", "yaml"), ("validate", "jsonl"), ("plan", "jsonl"),
        ("run", "jsonl"), ("validate", "csv"), ("plan --items --json", "csv")]  # fmt: skip
    # Two at a time: memory does not depend on what runs beside it, and CPU hardly does.
    with serving() as base, ThreadPoolExecutor(2) as pool:
        wanted = [(size, kind) for kind in ("yaml", "jsonl", "csv") for size in sizes]
        list(pool.map(lambda want: _written(folder, *want), wanted))
        found = list(pool.map(lambda case: [_used(*case, size, folder, base) for size in sizes], cases))
    for (command, kind), usages in zip(cases, found, strict=True):
        named = "run that lists all and buys nothing" if command == "run" else command
        yield from _memory(f"{named}, {kind}", usages, sizes)


def _written(folder: Path, items: int, kind: str) -> Path:
    made = folder / f"{'items' if kind == 'yaml' else kind}-{items}.yaml"
    if not made.exists():
        made = write_yaml(folder, items) if kind == "yaml" else write_rows(folder, items, kind)
    return made


def _used(command: str, kind: str, size: int, folder: Path, base: str) -> Usage:
    manifest = _written(folder, size, kind)
    if command != "run":
        return run(batchgen(*command.split(), manifest), read=False)
    output = folder / f"staged-{kind}-{size}"
    options = ("--base-url", base, "--output", output, "--yes", "--quiet", "--max-new", 0)
    used = run(batchgen(command, manifest, *options), accept=(3,))
    shutil.rmtree(output)
    return used


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


def _wide(folder: Path, items: int, times: int) -> Iterator[Row]:
    manifest = write_wide(folder, items)
    plain, fast, events = interleaved(
        times,
        lambda: run(batchgen("validate", manifest, fast=False)),
        lambda: run(batchgen("validate", manifest)),
        lambda: run(part("reading", "events", manifest)),
    )
    stock = run(part("reading", "stock", manifest))
    prompts = "prompts of others" if PROMPTS else "made-up prompts"
    what = f"validate, {items:,} items of eight keys, {prompts}"
    against = f"SafeLoader and a prebuilt jsonschema validator: {stock.cpu:.1f} s CPU, {stock.peak:.0f} MiB"
    for name, ours, least in ((f"{what}, without `fast`", plain, 12), (what, fast, 16)):
        measured = f"{median_cpu(ours):.2f} s CPU"
        yield Row(f"{name}: times faster", measured, against, stock.cpu / median_cpu(ours), least=least)
    bare = f"a bare loop over libyaml's events: {median_cpu(events):.2f} s CPU"
    yield Row(
        f"{what}: beside parsing alone", f"{median_cpu(fast):.2f} s CPU", bare, median_cpu(fast) / median_cpu(events)
    )


def _memory(what: str, usages: list[Usage], sizes: tuple[int, ...]) -> Iterator[Row]:
    *fewer, most = (
        f"{size:,} items: {used.peak:.0f} MiB, {used.cpu:.1f} s CPU" for size, used in zip(sizes, usages, strict=True)
    )
    few, many = usages[0].peak, usages[-1].peak
    yield Row(f"peak memory: {what}", most, "; ".join(fewer), many / few, most=1.2)
    yield Row(f"peak memory: {what}", most, f"the bound of {MOST_MIB} MiB", many / MOST_MIB, most=1)


def _stock(manifest: Path) -> int:
    import json

    import jsonschema
    import yaml

    with manifest.open(encoding="utf-8") as file:
        document = yaml.load(file, yaml.SafeLoader)
    defaults = document.get("defaults", {})
    model = {**defaults, **document["items"][0]}["model"]
    schema = json.loads((SCHEMAS / f"{model}.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    checked = 0
    for item in document["items"]:
        body = {**defaults, **item}
        validator.validate({name: value for name, value in body.items() if name not in ("id", "tags")})
        checked += 1
    return checked


def events(manifest: Path) -> int:
    """Read a manifest as the parser's events, and return how many there are."""
    from yaml._yaml import CParser
    from yaml.events import StreamEndEvent

    seen = 0
    with manifest.open("rb") as file:
        get = CParser(file).get_event
        while type(get()) is not StreamEndEvent:
            seen += 1
    return seen


if __name__ == "__main__":
    print({"stock": _stock, "events": events}[sys.argv[1]](Path(sys.argv[2])))
