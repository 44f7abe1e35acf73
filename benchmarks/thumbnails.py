"""What thumbnails cost: the CPU of one, beside decoding its file alone, and what offering a file takes of a run."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import part, run
from benchmarks.table import Row

_ROUNDS = 5


def rows(folder: Path, side: int, offers: int) -> Iterator[Row]:
    """Make thumbnails of pictures of this longer side and of a clip; `offers` files are offered."""
    told = run(part("thumbnails", folder, side, offers)).json()
    for name, (made, decoded) in told["files"].items():
        yield Row(f"thumbnail of {name}, CPU", f"{made:.0f} ms", f"decoding it alone: {decoded:.0f} ms", made / decoded)
    offered, checked = told["offer"], told["check"]
    yield Row(
        "offering a file for a thumbnail, in the event loop", f"{offered:.0f} µs",
        f"checking a 64 KiB PNG: {checked:.0f} µs", offered / checked, most=1.0,
    )  # fmt: skip


def main() -> None:
    """Print what each file and each offer takes."""
    folder, side, offers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    files = {name: _took(path, decode, folder / "made.webp") for name, path, decode in _files(folder, side)}
    print(json.dumps({"files": files, **_offers(folder, offers)}))


def _took(path: Path, decode: Callable[[], object], target: Path) -> tuple[float, float]:
    from batchgen.media.thumbnail import make_thumbnail

    return _milliseconds(lambda: make_thumbnail(path, target)), _milliseconds(decode)


def _milliseconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        work()
        found.append((time.process_time() - begun) * 1000)
    return statistics.median(found)


def _files(folder: Path, side: int) -> Iterator[tuple[str, Path, Callable[[], object]]]:
    from PIL import Image

    # A picture with as much detail as a photograph: gradients and some noise.
    noise = Image.effect_noise((side, side), 40)
    shade = Image.linear_gradient("L").resize((side, side))
    picture = Image.merge("RGB", (shade, Image.blend(noise, shade, 0.7), noise))
    for name in ("png", "jpg", "webp"):
        path = folder / f"picture.{name}"
        picture.save(path, quality=92) if name != "png" else picture.save(path)
        yield f"a {name.upper()} of {side} x {side}", path, lambda path=path: Image.open(path).load()
    path = _clip(folder, picture)
    yield "a clip of 1280 x 720, 5 s", path, lambda: _decoded(path)


def _clip(folder: Path, picture: Any) -> Path:
    import av
    from PIL import ImageChops

    path, frame = folder / "clip.mp4", picture.resize((1280, 720))
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for number in range(120):
            moved = ImageChops.offset(frame, 4 * number, 0)
            out.mux(stream.encode(av.VideoFrame.from_image(moved)))
        out.mux(stream.encode())
    return path


def _decoded(path: Path) -> None:
    import av

    with av.open(str(path)) as film:
        film.streams.video[0].thread_type = "NONE"
        for _ in film.decode(video=0):
            pass


def _offers(folder: Path, offers: int) -> dict[str, float]:
    import asyncio

    from batchgen.media import inspect
    from batchgen.thumbnails import Thumbnailer
    from benchmarks.server import png

    async def offered() -> float:
        maker = Thumbnailer(folder, processes=0)  # what they do is not measured here
        begun = time.process_time()
        for number in range(offers):
            maker.offer(path, f"{number:064x}")
        took = time.process_time() - begun
        await maker.close()
        return took / offers * 1e6

    path = folder / "offered.png"
    path.write_bytes(png(64 * 1024))
    begun = time.process_time()
    for _ in range(offers):
        inspect(path)
    checked = (time.process_time() - begun) / offers * 1e6
    return {"offer": asyncio.run(offered()), "check": checked}


if __name__ == "__main__":
    main()
