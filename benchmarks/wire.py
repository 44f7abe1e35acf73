"""Runs over TLS and a round trip of 100 ms, with the kept connections that the client's rule allows and without them.

Jobs of ten seconds are played in real time, over a real wire. Longer ones would take hours; the scheduler plays them in
virtual time, over the API in memory with the same round trip, and with two more before each POST for an own connection.
"""

import asyncio
import heapq
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import hangups
from benchmarks.distant import make_certificate
from benchmarks.manifests import write_yaml
from benchmarks.measure import KEY, Usage, batchgen, environment, in_memory, part, run
from benchmarks.table import Row

if TYPE_CHECKING:
    from batchgen.api import SubmitAnswer

ROUND_TRIP = 0.1
MACHINES = 20
MEDIANS = {10.0: 1.06, 60.0: 1.02, 300.0: None}
"""Seconds that a job takes, and the goal for the makespan over the ideal."""
SURPLUS = {10.0: 5, 60.0: 2, 300.0: 2}
"""Jobs in flight beyond the machines: "a few more"."""
_WHY = "half of the time between two polls is that part of such a job"
_OWN = "import batchgen.client.kept as k; k.WARM = -1.0; "
"""No connection is warm enough, so each POST has its own."""


@dataclass(frozen=True, slots=True)
class Trip:
    """What came of a run."""

    makespan: float
    """Over the ideal."""
    polls: float
    """For each job."""
    connections: int
    usage: Usage

    def shown(self) -> str:
        """Return it as text."""
        return f"{self.makespan:.3f} × ideal, {self.polls:.1f} polls, {self.connections} connections"


def rows(folder: Path, jobs: int, seconds: float, posts: int, submissions: int) -> Iterator[Row]:
    """Measure makespan, connections and CPU, and what kept connections leave in doubt; `jobs` of `seconds` each."""
    certificate = make_certificate(folder)
    manifest = write_yaml(folder, jobs)
    crowds = (MACHINES, MACHINES + SURPLUS[10.0])
    with ThreadPoolExecutor(4) as pool:  # all at the same time, since they mostly wait
        rides = {
            (crowd, before): pool.submit(
                _ridden, folder / f"{crowd}{'-own' if before else ''}", manifest, certificate, seconds, crowd, before
            )
            for crowd in crowds
            for before in ("", _OWN)
        }
    for crowd, most in zip(crowds, (MEDIANS[10.0], 1.01), strict=True):
        kept, own = (rides[crowd, before].result() for before in ("", _OWN))
        case = f"makespan over ideal, {jobs} jobs of {seconds:g} s over TLS, {MACHINES} machines, {crowd} in flight"
        yield Row(case, kept.shown(), f"own connections: {own.shown()}", kept.makespan, most=most, why=_WHY)
    for median, goal in MEDIANS.items():
        for crowd, most in ((MACHINES, goal), (MACHINES + SURPLUS[median], 1.01)):
            with in_memory(folder) as place:
                kept_, own_ = (
                    run(part("wire", "play", median, crowd, 10 * jobs, trips, place / f"{trips}")).json()
                    for trips in (0, 2)
                )
            case = f"the same in virtual time, {10 * jobs:,} jobs of {median:g} s, {crowd} in flight"
            yield Row(case, f"{kept_:.3f} × ideal", f"own connections: {own_:.3f} × ideal", kept_, most=most, why=_WHY)
    kept_cpu, own_cpu = (run(part("wire", "cost", side, certificate, posts)).json() for side in ("kept", "own"))
    shown = f"{kept_cpu['ms']:.2f} ms here, {kept_cpu['server_ms']:.2f} ms in the server"
    beside = f"own connections: {own_cpu['ms']:.2f} ms, {own_cpu['server_ms']:.2f} ms"
    yield Row(f"CPU of a POST over TLS, {posts:,} of them", shown, beside, kept_cpu["ms"] / own_cpu["ms"])
    yield from hangups.rows(submissions)


def _ridden(place: Path, manifest: Path, certificate: Path, seconds: float, in_flight: int, before: str) -> Trip:
    """Run a manifest against a distant server of its own."""
    place.mkdir()
    trust = f"import os; os.environ['SSL_CERT_FILE'] = {str(certificate)!r}; "
    served = part("distant", certificate.parent, "--travel", ROUND_TRIP / 2, "--seconds", seconds,
                  "--machines", MACHINES)  # fmt: skip
    with subprocess.Popen(
        served, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        command = ["run", manifest, "--base-url", server.stdout.readline().strip(), "--output", place, "--yes",
                   "--quiet", "--concurrency", in_flight]  # fmt: skip
        usage = run(batchgen(*command, before=trust + before))
        told, _ = server.communicate()
    seen = json.loads(told)
    return Trip(seen["makespan"], seen["polls"], seen["connections"], usage)


# ---- longer jobs ---------------------------------------------------------------------------------------------------


def played(median: float, in_flight: int, jobs: int, trips: int, folder: Path) -> float:
    """Return the makespan over the ideal, with so many round trips before each POST."""
    from batchgen.settings import Settings
    from batchgen.virtual import Duration, Offer, World, make_items
    from batchgen.virtual.harness import MODEL
    from batchgen.virtual.memory_api import MemoryApi

    travel = (ROUND_TRIP / 2, ROUND_TRIP / 2)
    offer = Offer(durations={MODEL: Duration(median, 0.3)}, latency=travel, machines=MACHINES)
    submit = MemoryApi.submit

    async def far(api: MemoryApi, body: str, endpoint: str, *, wait: bool) -> "SubmitAnswer":
        await asyncio.sleep(trips * ROUND_TRIP)
        return await submit(api, body, endpoint, wait=wait)

    MemoryApi.submit = far  # type: ignore[method-assign]
    world = World(folder, make_items(jobs), seed=7, settings=Settings(concurrency=in_flight), offer=offer)
    outcome = world.invoke()
    assert outcome.exit_code == 0
    places = [0.0] * MACHINES
    for job in world.provider.books.jobs.values():
        heapq.heapreplace(places, places[0] + job.ends_at - job.started_at)
    return outcome.seconds / max(places)


# ---- the CPU of a POST ---------------------------------------------------------------------------------------------


async def _posted(side: str, certificate: Path, posts: int) -> dict[str, float]:
    import ssl

    from batchgen.client import kept
    from batchgen.client.http import HttpApi

    # Only the cost counts here: a connection that has just been answered is good enough, or none is.
    kept.SETTLED, kept.MARGIN = 0.0, float("-inf")
    kept.WARM = 1.0 if side == "kept" else -1.0
    served = part("distant", certificate.parent)
    with subprocess.Popen(
        served, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        api = HttpApi(server.stdout.readline().strip(), KEY, tls=ssl.create_default_context(cafile=certificate))
        order = '{"model":"hera-1.0-text-to-image","prompt":"a mug"}'
        await api.submit(order, "/v1/generate", wait=False)
        await api.poll("job00000001")
        used = time.process_time()
        for _ in range(posts):
            await api.submit(order, "/v1/generate", wait=False)
        used = time.process_time() - used
        await api.aclose()
        told, _ = await asyncio.to_thread(server.communicate)
    seen = json.loads(told)
    return {"ms": used / posts * 1000, "server_ms": seen["server_cpu"] / posts * 1000, "opened": seen["connections"]}


def main() -> None:
    """Measure one thing and print it as JSON."""
    what, *given = sys.argv[1:]
    if what == "cost":
        side, certificate, posts = given
        print(json.dumps(asyncio.run(_posted(side, Path(certificate), int(posts)))))
    else:
        median, in_flight, jobs, trips, folder = given
        print(json.dumps(played(float(median), int(in_flight), int(jobs), int(trips), Path(folder))))


if __name__ == "__main__":
    main()
