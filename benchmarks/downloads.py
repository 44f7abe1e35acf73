"""Downloads of large files: CPU per gigabyte, beside curl and aria2."""

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.measure import Usage, part, run, serving
from benchmarks.table import Row

SIZE = 8 * 2**20
AT_ONCE = 8


def rows(folder: Path, files: int) -> Iterator[Row]:
    """Measure so many videos of 8 MiB, with and without hashing."""
    with serving(size=SIZE, media="mp4") as base:
        plain = run(part("downloads", base, files, _fresh(folder), "unhashed"))
        hashed = run(part("downloads", base, files, _fresh(folder), "hashed"))
        idle = run(part("downloads", base, 0, _fresh(folder), "hashed"))
        what = f"download of {files} videos of 8 MiB, checked and synced"
        shown = {"hashed": _shown(hashed, files, idle), "not hashed": _shown(plain, files, idle)}
        others = {
            "curl --parallel": _curl(folder, base, files),
            "aria2": _aria2(folder, base, files),
        }
    for name, usage in others.items():
        for how, ours in (("hashed", hashed), ("not hashed", plain)):
            if isinstance(usage, str):
                yield Row(f"{what}, {how}", shown[how], f"{name}: {usage}")
            else:
                ratio = (ours.cpu - idle.cpu) / usage.cpu
                yield Row(f"{what}, {how}", shown[how], f"{name}: {_shown(usage, files)}", ratio)


def _shown(usage: Usage, files: int, idle: Usage | None = None) -> str:
    gigabytes = files * SIZE / 1e9
    cpu = usage.cpu - (idle.cpu if idle else 0.0)
    return f"{cpu / gigabytes:.2f} CPU s/GB, {gigabytes / (usage.wall - (idle.wall if idle else 0.0)):.2f} GB/s"


_NUMBERS = count(1)


def _fresh(folder: Path) -> Path:
    for old in folder.glob("downloads-*"):
        shutil.rmtree(old)
    made = folder / f"downloads-{next(_NUMBERS)}"
    made.mkdir()
    return made


def _curl(folder: Path, base: str, files: int) -> Usage | str:
    curl = shutil.which("curl")
    if curl is None:
        return "not installed"
    place = _fresh(folder)
    config = place / "urls"
    config.write_text("".join(f'url = "{base}/outputs/{n}.mp4"\noutput = "{n}.mp4"\n' for n in range(files)))
    return run([curl, "--silent", "--parallel", "--parallel-max", str(AT_ONCE), "--config", config], cwd=place)


def _aria2(folder: Path, base: str, files: int) -> Usage | str:
    aria2 = shutil.which("aria2c")
    if aria2 is None:
        return "not installed (Debian: apt install aria2)"
    place = _fresh(folder)
    (place / "urls").write_text("".join(f"{base}/outputs/{n}.mp4\n  out={n}.mp4\n" for n in range(files)))
    options = ["--quiet", "--max-connection-per-server=1", f"--max-concurrent-downloads={AT_ONCE}"]
    return run([aria2, *options, "--file-allocation=none", "--input-file=urls"], cwd=place)


class _NoHash:
    """Stands in for a digest, to see what hashing costs."""

    def update(self, _: bytes) -> None:
        """Do nothing."""

    def hexdigest(self) -> str:
        """Return nothing."""
        return ""


async def _fetch_all(base: str, files: int, folder: Path) -> None:
    from batchgen.client import HttpApi
    from batchgen.core.batching import BatchedCalls
    from batchgen.download import fetch
    from batchgen.store import LocalDisk
    from benchmarks.measure import KEY

    async def nothing_there(path: str) -> None:
        raise AssertionError(path)

    api = HttpApi(base, KEY)
    numbers = iter(range(files))

    async def work(offload: BatchedCalls) -> None:
        for number in numbers:
            url = f"{base}/outputs/{number}.mp4"
            await fetch(
                api, url, LocalDisk(folder), str(number), 1, kind="video", move_aside=nothing_there, offload=offload
            )

    async with BatchedCalls("files") as offload:
        await asyncio.gather(*(work(offload) for _ in range(AT_ONCE)))
    await api.aclose()


def main() -> None:
    """Download with batchgen's own parts."""
    from types import SimpleNamespace

    from batchgen import download

    base, files, folder, how = sys.argv[1:]
    if how == "unhashed":
        setattr(download, "hashlib", SimpleNamespace(sha256=_NoHash))  # noqa: B010 - nothing for mypy to follow
    work = _fetch_all(base, int(files), Path(folder))
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
    print(json.dumps({"files": len(list(Path(folder).rglob("*.mp4")))}))


if __name__ == "__main__":
    main()
