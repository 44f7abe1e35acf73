"""Taking and holding a lease, on clocks that tests move."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from batchgen.core.errors import RunFolderError, StoreError
from batchgen.lease import Clocks, HeldLease, LeaseLostError, MemoryPlace, ProcessName, bind, take
from batchgen.lease.holding import BEAT_EVERY, MARGIN, TAKEN_OVER
from batchgen.lease.record import LeaseRecord

HERE = ProcessName.of_this()
ELSEWHERE = ProcessName("node-7", 1, "another-boot", "pid:[1]", "99")
NAME = "job/0-of-2/lease"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells when a process began")


@dataclass
class Machine:
    """A machine with clocks of its own."""

    seconds: float = 1000.0
    day: datetime = field(default_factory=lambda: datetime(2026, 3, 1, tzinfo=UTC))

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.seconds, lambda: self.day)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.day += timedelta(seconds=seconds)


def no_wait(seconds: float) -> None:
    raise AssertionError(f"it waits for {seconds} s")


def taken(
    place: MemoryPlace, machine: Machine, holder: ProcessName = ELSEWHERE, *,
    tell: Callable[[str], None] = lambda _: None, wait: Callable[[float], None] = no_wait,
) -> HeldLease:  # fmt: skip
    return take(place, NAME, holder, tell=tell, wait=wait, clocks=machine.clocks)


def test_a_new_lease_and_a_released_one_are_taken_at_once() -> None:
    place, machine = MemoryPlace(), Machine()
    first = taken(place, machine)
    assert (first.record.generation, first.record.receipts, first.holds()) == (1, 0, True)
    first.note_receipts()
    first.release()
    second = taken(place, Machine())
    assert (second.record.generation, second.record.receipts) == (2, 1)


def test_a_silent_holder_elsewhere_is_followed_after_thirty_seconds_and_that_is_said() -> None:
    place, said, machine = MemoryPlace(), list[str](), Machine(seconds=5.0)
    holder = taken(place, Machine())
    lease = taken(place, machine, replace(ELSEWHERE, host="node-8"), tell=said.append, wait=machine.sleep)
    assert lease.record.generation == 2
    assert TAKEN_OVER <= machine.seconds - 5.0 < TAKEN_OVER + 2
    (sentence,) = said
    assert "is held by process 1 on node-7, since 2026-03-01T00:00:00Z" in sentence
    assert "it is taken over if no heartbeat comes for 30 s" in sentence
    with pytest.raises(LeaseLostError, match="process 1 on node-8"):
        holder.renew()
    assert holder.lost
    assert not holder.holds()


@pytest.mark.parametrize("after", [0.5, 15.0, 29.5])
def test_a_holder_that_beats_is_not_followed(after: float) -> None:
    place, machine, holders = MemoryPlace(), Machine(), Machine()
    holder = taken(place, holders)

    def wait(seconds: float) -> None:
        machine.sleep(seconds)
        if machine.seconds - 1000.0 >= after:
            holder.renew()

    with pytest.raises(RunFolderError, match=r"in use by another batchgen \(process 1 on node-7"):
        taken(place, machine, replace(ELSEWHERE, host="node-8"), wait=wait)
    assert holder.holds()


def test_a_holder_that_beats_at_the_last_moment_wins_or_loses_but_not_both() -> None:
    """The heartbeat comes between the follower's last look and its writing."""
    place, machine = MemoryPlace(), Machine()
    holder = taken(place, Machine())
    beaten: list[str] = []

    def before_writing(_: str) -> None:
        if machine.seconds - 1000.0 >= TAKEN_OVER and not beaten:
            beaten.append("beat")
            holder.renew()

    place.before_writing = before_writing
    with pytest.raises(RunFolderError, match="in use by another batchgen"):
        taken(place, machine, replace(ELSEWHERE, host="node-8"), wait=machine.sleep)
    assert beaten
    holder.renew()


def test_of_two_followers_one_wins() -> None:
    place = MemoryPlace()
    taken(place, Machine())
    machine, others = Machine(), list[HeldLease]()

    def wait(seconds: float) -> None:
        machine.sleep(seconds)
        if machine.seconds - 1000.0 >= TAKEN_OVER:
            other = Machine()
            others.append(taken(place, other, replace(ELSEWHERE, host="node-9"), wait=other.sleep))

    with pytest.raises(RunFolderError, match="process 1 on node-9"):
        taken(place, machine, replace(ELSEWHERE, host="node-8"), wait=wait)
    assert others[0].holds()


def test_a_holder_that_releases_while_another_waits_is_followed_then() -> None:
    place, machine = MemoryPlace(), Machine()
    holder = taken(place, Machine())

    def wait(seconds: float) -> None:
        machine.sleep(seconds)
        holder.release()

    assert taken(place, machine, wait=wait).record.generation == 2
    assert machine.seconds < 1000.0 + 5


@pytest.mark.parametrize("clock", ["seconds", "day"])
def test_a_lease_does_not_hold_any_more_before_another_can_have_it(clock: str) -> None:
    """By either clock: a machine that was paused may hear of that by one of them alone."""
    place, machine = MemoryPlace(), Machine()
    lease = taken(place, machine)
    limit = TAKEN_OVER - MARGIN
    if clock == "seconds":
        machine.seconds += limit - 0.1
    else:
        machine.day += timedelta(seconds=limit - 0.1)
    assert lease.holds()
    machine.sleep(0.2)
    assert not lease.holds()
    lease.renew()
    assert lease.holds(), "nobody took it meanwhile"
    assert limit > BEAT_EVERY * 3


def test_a_time_of_day_that_is_set_back_prolongs_nothing() -> None:
    machine = Machine()
    lease = taken(MemoryPlace(), machine)
    machine.day -= timedelta(hours=1)
    machine.seconds += TAKEN_OVER - MARGIN
    assert not lease.holds()


def test_a_heartbeat_counts_from_its_beginning() -> None:
    """One that hung on its way for long proves nothing for the time after."""
    place, machine = MemoryPlace(), Machine()
    lease = taken(place, machine)
    place.before_writing = lambda _: machine.sleep(TAKEN_OVER)
    lease.renew()
    assert not lease.holds()


def test_a_heartbeat_that_failed_is_repeated() -> None:
    place, machine = MemoryPlace(), Machine()
    lease = taken(place, machine)

    def fail(_: str) -> None:
        raise StoreError("the store did not answer in time")

    place.before_writing = fail
    with pytest.raises(StoreError):
        lease.renew()
    assert lease.holds()
    place.before_writing = lambda _: None
    lease.renew()
    assert not lease.lost


def test_a_heartbeat_that_arrived_although_it_seemed_to_fail_is_our_own() -> None:
    place, machine = MemoryPlace(), Machine()
    lease = taken(place, machine)
    found = place.read(NAME)
    assert found is not None
    arrived = replace(lease.record, beat=lease.record.beat + 1)
    assert place.replace(NAME, arrived.encoded(), found.version) is not None
    lease.note_receipts()
    assert (lease.record.beat, lease.record.receipts, lease.lost) == (2, 1, False)
    lease.release()


@LINUX
def test_a_holder_that_died_on_this_host_is_followed_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from batchgen.lease import ProcessName; print(ProcessName.of_this()); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    started = ProcessName(HERE.host, process.pid, HERE.boot, HERE.numbering, _started(process.pid))
    assert not started.is_dead()
    process.kill()
    assert _becomes_dead(started), "also while only its remains are left"
    process.communicate()
    assert started.is_dead()
    place, machine = MemoryPlace(), Machine()
    taken(place, Machine(), started)
    assert taken(place, machine).record.generation == 2


def _started(pid: int) -> str:
    from batchgen.lease import process

    return process._started(pid)


def _becomes_dead(name: ProcessName) -> bool:
    for _ in range(1000):
        if name.is_dead():
            return True
        os.sched_yield()
    return name.is_dead()


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, boot="another"),
        replace(HERE, numbering="pid:[1]"),
        replace(HERE, boot="", numbering="", started=""),
        replace(HERE, pid=4_000_000, started=""),
        HERE,
    ],
)
def test_a_process_is_dead_only_if_that_is_certain(other: ProcessName) -> None:
    """A number means nothing after a restart of the host, or in another container."""
    assert not other.is_dead()


@LINUX
def test_a_number_that_was_given_anew_is_not_the_process() -> None:
    assert replace(HERE, started="1").is_dead()
    assert replace(HERE, pid=4_000_000).is_dead()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"{}", "cannot be read"),
        (b'{"lease": 1, "generation": "x"}', "cannot be read"),
        (b'{"lease": 2}', "was written by a newer batchgen"),
    ],
)
def test_a_lease_that_cannot_be_read_is_not_taken(content: bytes, message: str) -> None:
    place = MemoryPlace()
    place.create(NAME, content)
    with pytest.raises(RunFolderError, match=message):
        taken(place, Machine())


def test_a_lease_is_read_as_it_was_written() -> None:
    record = LeaseRecord(3, HERE, "2026-03-01T00:00:00Z", 17, 2, released=True)
    assert LeaseRecord.decoded(record.encoded(), "x") == record


# ---- the number of shards ----------------------------------------------------------------------------------------


def test_a_run_is_divided_once() -> None:
    place = MemoryPlace()
    bind(place, "job", 4)
    bind(place, "job", 4)
    bind(place, "other", 3)
    with pytest.raises(RunFolderError, match="job was divided into 4 shards when it was started first"):
        bind(place, "job", 8)


def test_a_run_whose_shards_were_merged_is_divided_anew() -> None:
    place = MemoryPlace()
    bind(place, "job", 4)
    bind(place, "job", 8, lambda count: count == 4)
    bind(place, "job", 8)
    with pytest.raises(RunFolderError, match="divided into 8"):
        bind(place, "job", 4, lambda count: count == 4)
