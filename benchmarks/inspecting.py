"""What it costs to know what a file is: the check of a file with and without reading its facts."""

import json
import random
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import part, run
from benchmarks.server import mp4, png
from benchmarks.table import Row

_SIZE = 64 * 1024
_ROUNDS = 15


def rows(folder: Path, times: int) -> Iterator[Row]:
    """Check each file so many times in turn, both ways."""
    for name, data in {
        "PNG": png(_SIZE),
        "JPEG": _jpeg(_SIZE),
        "JPEG with EXIF data": _jpeg(_SIZE, exif=True),
        "MP4": mp4(_SIZE),
    }.items():
        path = folder / "file"
        path.write_bytes(data)
        told = run(part("inspecting", path, times)).json()
        yield Row(
            f"check of a 64 KiB {name}, with its facts", f"{told['with']:.0f} µs", f"without: {told['without']:.0f} µs",
            told["with"] / told["without"], most=1.15 if name in ("PNG", "JPEG") else None,
        )  # fmt: skip


def _jpeg(size: int, *, exif: bool = False) -> bytes:
    """Return the structure of a photograph; nobody decodes it."""
    entry = struct.pack("<HHIHxx", 274, 3, 1, 6)
    noted = b"Exif\0\0II*\0\x08\0\0\0\x0a\0" + bytes(12) * 9 + entry + bytes(4)
    segments = [(0xE0, b"JFIF\0" + bytes(9)), *[(0xE1, noted)] * exif, (0xDB, bytes(65)), (0xDB, bytes(65))]
    segments += [(0xC0, struct.pack(">BHHB9x", 8, 768, 1024, 3)), *[(0xC4, bytes(60))] * 4, (0xDA, bytes(10))]
    head = b"".join(b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    scan = random.Random(0).randbytes(size).replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def main() -> None:
    """Print what one check of a file takes, in microseconds of CPU."""
    from batchgen import media
    from batchgen.media import images
    from batchgen.media.facts import UNKNOWN

    path, times = Path(sys.argv[1]), int(sys.argv[2])
    modules: tuple[Any, ...] = (media, images)
    nothing = {"film_facts": UNKNOWN, "picture_facts": UNKNOWN, "_is_turned": False, "in_app11": False}
    reading = {(module, name): getattr(module, name) for module in modules for name in nothing if hasattr(module, name)}
    took: dict[str, list[float]] = {"with": [], "without": []}
    with path.open("rb", buffering=0) as file:
        for _ in range(_ROUNDS):
            for how, found in took.items():
                for (module, name), function in reading.items():
                    setattr(module, name, function if how == "with" else partial(_known, nothing[name]))
                begun = time.process_time()
                for _ in range(times):
                    media.inspect_file(file)
                found.append((time.process_time() - begun) / times * 1e6)
    print(json.dumps({how: statistics.median(found) for how, found in took.items()}))


def _known(value: object, *_: object, **__: object) -> object:
    """Stands in for what reads facts."""
    return value


if __name__ == "__main__":
    main()
