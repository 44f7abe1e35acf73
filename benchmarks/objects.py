"""Outputs in an object store (moto's server on this machine) beside the local disk: CPU per gigabyte, and requests.

Only our side counts: moto is another process, and what it takes to keep the objects is its own affair.
"""

import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from benchmarks.manifests import write_yaml
from benchmarks.measure import Usage, batchgen, beside, interleaved, median_cpu, part, run, serving
from benchmarks.table import Row

SIZE = 8 * 2**20
IMAGE = 64 * 2**10
AT_ONCE = 8
_WAITING = 128
"""Outputs that may wait for the store, as in a run (`batchgen.core.descriptors`)."""
_BUCKET = "outputs"
_NUMBERS = count(1)


def rows(folder: Path, files: int, images: int, times: int) -> Iterator[Row]:
    """Bring so many videos of 8 MiB and images of 64 KiB to either place, so many times in turn; then a whole run."""
    with _store() as store:
        for kind, size, number in (("mp4", SIZE, files), ("png", IMAGE, images)):
            with serving(size=size, media=kind) if kind == "mp4" else serving(size=size) as base:
                yield from _compared(folder, base, store, kind, number, times)
        with serving(size=IMAGE) as base:
            yield from _requests(folder, base, store, images)


@contextmanager
def _store() -> Iterator[str]:
    with beside(part("objects", "serve")) as store:
        kept = dict(os.environ)
        os.environ.update(
            AWS_ENDPOINT_URL=store,
            AWS_ACCESS_KEY_ID="moto",
            AWS_SECRET_ACCESS_KEY=_BUCKET,  # moto takes any
            AWS_REGION="us-east-1",
        )
        try:
            yield store
        finally:
            os.environ.clear()
            os.environ.update(kept)


def _asked(store: str, page: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(f"{store}{page}", method=method)) as answer:  # noqa: S310
        return bytes(answer.read())


def _emptied(store: str) -> None:
    """Empty the store, which keeps its objects in memory, and forget what was asked of it."""
    _asked(store, "/moto-api/reset", "POST")
    _asked(store, f"/{_BUCKET}", "PUT")
    _asked(store, "/_requests")


def _compared(folder: Path, base: str, store: str, kind: str, files: int, times: int) -> Iterator[Row]:
    def side(place: str) -> Usage:
        _emptied(store)
        fresh = folder / f"objects-{next(_NUMBERS)}"
        usage = run(part("objects", "fetch", base, files, fresh, place, kind))
        return replace(usage, **usage.json())

    disk, objects = interleaved(times, lambda: side("disk"), lambda: side("objects"))
    name = "videos of 8 MiB" if kind == "mp4" else "images of 64 KiB"
    amount, unit = (files * SIZE / 1e9, "CPU s/GB") if kind == "mp4" else (files / 1000, "ms CPU each")
    ours, against = median_cpu(objects) / amount, median_cpu(disk) / amount
    yield Row(
        f"{files} {name} to an object store", f"{ours:.2f} {unit}", f"local disk: {against:.2f} {unit}", ours / against
    )


def _requests(folder: Path, base: str, store: str, items: int) -> Iterator[Row]:
    _emptied(store)
    manifest = write_yaml(folder, items)
    options = ["--base-url", base, "--yes", "--quiet", "--poll-min", 0.2, "--poll-max", 0.5, "--concurrency", 64]
    run(batchgen("run", manifest, *options, "--output", f"s3://{_BUCKET}/bench", "--state", folder / "state"))
    asked = json.loads(_asked(store, "/_requests"))
    files = sum(number for what, number in asked.items() if " files" in what)
    others = sum(asked.values()) - files
    yield Row(
        f"requests of a run of {items} images", f"{files / items:.2f} for each output, {others} for the run",
        ", ".join(f"{number} {what}" for what, number in sorted(asked.items())),
    )  # fmt: skip


async def _fetch_all(base: str, files: int, folder: Path, place: str, kind: str) -> None:
    from batchgen.client.http import HttpApi
    from batchgen.core.batching import BatchedCalls
    from batchgen.download import Memory, fetch
    from batchgen.store import OUTPUTS, store_of
    from batchgen.store.upload_threads import uploading
    from benchmarks.measure import KEY

    async def nothing_there(path: str) -> None:
        raise AssertionError(path)

    folder.mkdir()
    store = store_of(folder, {} if place == "disk" else {OUTPUTS: f"s3://{_BUCKET}/{folder.name}"})
    api, memory = HttpApi(base, KEY), Memory()
    ordered = "video" if kind == "mp4" else "image"
    receiving, waiting = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(_WAITING)

    async with BatchedCalls("files") as offload, uploading(store) as upload:

        async def one(number: int) -> None:
            url, taken = f"{base}/outputs/{number}.{kind}", [receiving]
            try:
                await fetch(
                    api, url, store, str(number), 1, kind=ordered, move_aside=nothing_there, offload=offload,
                    memory=memory, upload=upload, received=lambda: taken.pop().release(),
                )  # fmt: skip
            finally:
                waiting.release()
                for slot in taken:
                    slot.release()

        cpu, wall = time.process_time(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(files):
                await waiting.acquire()
                await receiving.acquire()
                group.create_task(one(number))
    await api.aclose()
    print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall}))


def _serve() -> None:
    """Run moto's S3 until standard input ends, and count the requests by what they are about."""
    import logging
    from collections import Counter
    from threading import Thread
    from typing import Any

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto, counts = DomainDispatcherApplication(create_backend_app), Counter[str]()

    def app(environment: Any, start_response: Any) -> Any:
        path = environment["PATH_INFO"]
        if path == "/_requests":
            body = json.dumps(counts).encode()
            counts.clear()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        # /BUCKET/PREFIX/NAME/files/…
        what = path.split("/")[4] if path.count("/") > 3 else path.rpartition("/")[2]
        counts[f"{environment['REQUEST_METHOD']} {what}"] += 1
        return moto(environment, start_response)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.port}", flush=True)
    sys.stdin.read()


def main() -> None:
    """Serve the store, or bring outputs to either place."""
    if sys.argv[1] == "serve":
        _serve()
        return
    base, files, folder, place, kind = sys.argv[2:]
    work = _fetch_all(base, int(files), Path(folder), place, kind)
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
