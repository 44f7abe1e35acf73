"""Runs over TLS and a round trip of 100 ms, with the kept connections that the client's rule allows and without them.

Each job takes ten seconds of real time. In the cases of 60 and 300 s it is sped up, and so are the round trip, the
intervals between polls and the client's own times. What this machine itself needs (commits, handshakes) is not, so the
long jobs look slightly worse than they are. All runs of a length go on at the same time, since they mostly wait.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import hangups
from benchmarks.distant import make_certificate
from benchmarks.manifests import write_yaml
from benchmarks.measure import KEY, Usage, batchgen, environment, part, run
from benchmarks.table import Row

ROUND_TRIP = 0.1
POLL_MIN, POLL_MAX = 2.0, 5.0
MACHINES = 20
_TIMES = ("SETTLED", "WARM", "MARGIN")
_GOALS = {10.0: 1.06, 60.0: 1.02}
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
    """Measure makespan, CPU and connections, and what kept connections leave in doubt. `seconds`: a job's real time."""
    certificate = make_certificate(folder)
    manifest = write_yaml(folder, jobs)
    for median in (10.0, 60.0, 300.0):
        surplus = MACHINES + (5 if median == 10.0 else 2)
        sides = ((MACHINES, _OWN), (MACHINES, ""), (surplus, _OWN), (surplus, ""))
        with ThreadPoolExecutor(len(sides)) as pool:
            rides = [
                pool.submit(
                    _ridden, folder / f"{median:g}-{number}", manifest, certificate, seconds, median / seconds, *side
                )
                for number, side in enumerate(sides)
            ]
        own, kept, own_more, kept_more = (ride.result() for ride in rides)
        what = f"{jobs} jobs of {median:g} s over TLS and 100 ms"
        for crowd, with_, without, most in (
            (MACHINES, kept, own, _GOALS.get(median)), (surplus, kept_more, own_more, 1.01),
        ):  # fmt: skip
            case = f"makespan over ideal, {what}, {MACHINES} machines, {crowd} in flight"
            yield Row(case, with_.shown(), f"own connections: {without.shown()}", with_.makespan, most=most)
    own_cpu, kept_cpu = (run(part("wire", side, certificate, posts)).json() for side in ("own", "kept"))
    shown = f"{kept_cpu['ms']:.2f} ms here, {kept_cpu['server_ms']:.2f} ms in the server"
    beside = f"own connections: {own_cpu['ms']:.2f} ms, {own_cpu['server_ms']:.2f} ms"
    yield Row(f"CPU of a POST over TLS, {posts:,} of them", shown, beside, kept_cpu["ms"] / own_cpu["ms"])
    yield from hangups.rows(submissions)


def _ridden(
    place: Path, manifest: Path, certificate: Path, seconds: float, speed: float, in_flight: int, before: str
) -> Trip:
    """Run a manifest against a distant server of its own."""
    place.mkdir()
    faster = "".join(f"k.{name} /= {speed}; " for name in _TIMES)
    first = f"import os; os.environ['SSL_CERT_FILE'] = {str(certificate)!r}; import batchgen.client.kept as k; {faster}"
    served = part("distant", certificate.parent, "--travel", ROUND_TRIP / 2 / speed, "--seconds", seconds,
                  "--machines", MACHINES)  # fmt: skip
    with subprocess.Popen(
        served, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        command = ["run", manifest, "--base-url", server.stdout.readline().strip(), "--output", place, "--yes",
                   "--quiet", "--concurrency", in_flight, "--poll-min", POLL_MIN / speed, "--poll-max",
                   POLL_MAX / speed]  # fmt: skip
        usage = run(batchgen(*command, before=first + before))
        told, _ = server.communicate()
    seen = json.loads(told)
    return Trip(seen["makespan"], seen["polls"], seen["connections"], usage)


# ---- the CPU of a POST ---------------------------------------------------------------------------------------------


async def _posted(side: str, certificate: Path, posts: int) -> dict[str, float]:
    import ssl

    from batchgen.client import HttpApi, kept

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
    """Send POSTs, and print what one costs as JSON."""
    side, certificate, posts = sys.argv[1:]
    print(json.dumps(asyncio.run(_posted(side, Path(certificate), int(posts)))))


if __name__ == "__main__":
    main()
