"""Start-up beside the bare interpreter."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.manifests import write_yaml
from benchmarks.measure import batchgen, interleaved, median_cpu, run
from benchmarks.table import Row


def rows(folder: Path, times: int) -> Iterator[Row]:
    """Measure `--help` and `validate` of ten items."""
    manifest = write_yaml(folder, 10)
    bare, empty, shown, checked = interleaved(
        times,
        lambda: run([sys.executable, "-c", "pass"]),
        lambda: run([sys.executable, "-c", "import click"]),
        lambda: run(batchgen("--help")),
        lambda: run(batchgen("validate", manifest)),
    )
    against = f"python -c pass: {median_cpu(bare) * 1000:.0f} ms CPU"
    for what, usages, most in (
        ("batchgen --help", shown, 3.0),
        ("import click alone", empty, None),
        ("batchgen validate, ten items", checked, None),
    ):
        measured = f"{median_cpu(usages) * 1000:.0f} ms CPU"
        yield Row(what, measured, against, median_cpu(usages) / median_cpu(bare), most=most)
