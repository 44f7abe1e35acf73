"""Which shard an item belongs to, what array jobs say of it, and what a shard may spend."""

import re
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.errors import UsageError
from batchgen.settings import Settings
from batchgen.shards import Shard, refuse_idle_shards, shard_asked_for, shard_number, share_of

GOLDEN = [
    ("mug", 2, 0),
    ("mug", 4, 0),
    ("mug", 7, 0),
    ("spin", 4, 2),
    ("a-teapot-0b1c2d3e4f", 4, 0),
    ("waves~1", 4, 2),
    ("waves~2", 4, 3),
    ("x", 10_000, 8723),
]


@pytest.mark.parametrize(("item_id", "count", "number"), GOLDEN)
def test_a_release_that_changes_these_makes_every_user_buy_items_again(item_id: str, count: int, number: int) -> None:
    assert shard_number(item_id, count) == number


def test_items_are_spread_evenly() -> None:
    sizes = Counter(shard_number(f"item-{number}", 7) for number in range(14_000))
    assert sorted(sizes) == list(range(7))
    assert max(sizes.values()) < 1.1 * min(sizes.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/4", "shards count from 0, so the last of 4 is 3, not 4"),
        ("0/0", "a run has 1 to 10,000 shards, not 0"),
        ("0/10001", "a run has 1 to 10,000 shards, not 10,001"),
        ("-1/4", "must be I/N, such as 0/4"),
        ("1 / 4", "must be I/N"),
        ("٣/4", "must be I/N"),
        ("", "must be I/N"),
        ("1/4/2", "must be I/N"),
    ],
)
def test_what_is_no_shard_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        shard_asked_for(text, {})


def test_a_shard_is_written_as_it_is_read() -> None:
    shard = shard_asked_for("3/12", {"JOB_COMPLETION_INDEX": "7"})
    assert (shard, str(shard), shard.run_name("spring")) == (Shard(3, 12), "3/12", "spring.3-of-12")


# ---- what array jobs say -----------------------------------------------------------------------------------------


def slurm(task: object, count: object, first: object, last: object) -> dict[str, str]:
    words = {"ID": task, "COUNT": count, "MIN": first, "MAX": last}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in words.items() if value is not None}


def aws(index: object, size: object) -> dict[str, str]:
    words = {"INDEX": index, "SIZE": size}
    return {f"AWS_BATCH_JOB_ARRAY_{name}": str(value) for name, value in words.items() if value is not None}


KUBERNETES = {"JOB_COMPLETION_INDEX": "2"}


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("auto/4", KUBERNETES, Shard(2, 4)),
        ("auto", aws(0, 3), Shard(0, 3)),
        ("auto/3", aws(2, 3), Shard(2, 3)),
        ("auto", slurm(0, 4, 0, 3), Shard(0, 4)),
        ("auto", slurm(4, 4, 1, 4), Shard(3, 4)),
        ("auto", slurm(103, 4, 100, 103), Shard(3, 4)),
        ("auto", slurm(5, 1, 5, 5), Shard(0, 1)),
        ("auto/3", KUBERNETES | aws(2, 3), Shard(2, 3)),
        ("1/4", slurm(0, 2, 0, 3), Shard(1, 4)),
    ],
)
def test_an_array_job_says_which_shard_it_is(text: str, environment: dict[str, str], shard: Shard) -> None:
    assert shard_asked_for(text, environment) == shard


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("auto", {}, "this is no task of an array"),
        ("auto/4", {"JOB_COMPLETION_INDEX": ""}, "this is no task of an array"),
        ("auto", KUBERNETES, "without a count: give the job's completions, as --shard auto/N"),
        ("auto/2", KUBERNETES, "shards count from 0, so the last of 2 is 1, not 2"),
        ("auto/4", {"JOB_COMPLETION_INDEX": "two"}, "JOB_COMPLETION_INDEX is no number: 'two'"),
        ("auto", aws(0, None), "AWS_BATCH_JOB_ARRAY_SIZE is not set"),
        ("auto", aws(3, 3), "the last of 3 is 2, not 3"),
        ("auto/4", aws(0, 3), "the array has 3 tasks, not 4"),
        ("auto", slurm(2, 2, 0, 2), "ids go from 0 to 2, but it has 2 tasks"),  # --array=0-2:2
        ("auto", slurm(1, 3, 1, 7), "ids go from 1 to 7, but it has 3 tasks"),  # --array=1,3,7
        ("auto", slurm(9, 4, 0, 3), "the last of 4 is 3, not 9"),
        ("auto", slurm(1, None, 0, 3), "SLURM_ARRAY_TASK_COUNT is not set"),
        ("auto/8", slurm(1, 4, 0, 3), "the array has 4 tasks, not 8"),
        ("auto/4", KUBERNETES | aws(1, 4), "contradict each other (2/4 by Kubernetes, 1/4 by AWS Batch)"),
        ("auto/0", KUBERNETES, "a run has 1 to 10,000 shards, not 0"),
        ("automatic", KUBERNETES, "must be I/N"),
    ],
)
def test_what_an_array_job_leaves_open_is_refused(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        shard_asked_for(text, environment)


# ---- what a shard may spend --------------------------------------------------------------------------------------

AMOUNTS = st.decimals(0, 1_000_000, places=9) | st.decimals(0, 1_000_000, places=2) | st.integers(0, 99).map(Decimal)


@given(amount=AMOUNTS, concurrency=st.integers(1, 500), count=st.integers(1, 60))
def test_the_shares_are_the_whole(amount: Decimal, concurrency: int, count: int) -> None:
    whole = Settings(max_cost=amount, budget=amount, concurrency=concurrency)
    shares = [share_of(whole, Shard(index, count)) for index in range(count)]
    assert sum((share.max_cost or Decimal(0) for share in shares), Decimal(0)) == amount
    assert sum((share.budget or Decimal(0) for share in shares), Decimal(0)) == amount
    assert sum(share.concurrency for share in shares) == concurrency
    assert min(share.concurrency for share in shares) >= (1 if concurrency >= count else 0)
    assert max(share.concurrency for share in shares) - min(share.concurrency for share in shares) <= 1


def test_money_is_divided_into_cents_unless_it_is_written_finer() -> None:
    def shares(amount: str) -> list[str]:
        whole = Settings(max_cost=Decimal(amount))
        return [str(share_of(whole, Shard(index, 3)).max_cost) for index in range(3)]

    assert shares("10") == ["3.34", "3.33", "3.33"]
    assert shares("0.01") == ["0.01", "0.00", "0.00"]
    assert shares("1.0001") == ["0.3334", "0.3334", "0.3333"]
    assert shares("1E+2") == ["33.34", "33.33", "33.33"]


def test_no_cap_stays_no_cap() -> None:
    share = share_of(Settings(), Shard(1, 2))
    assert (share.max_cost, share.budget, share.concurrency) == (None, None, 4)


def test_more_shards_than_jobs_in_flight_are_refused_for_all_of_them() -> None:
    with pytest.raises(UsageError, match="concurrency is 3 for all 4 shards together, and each needs at least 1"):
        refuse_idle_shards(Settings(concurrency=3), Shard(0, 4))
    refuse_idle_shards(Settings(concurrency=4), Shard(3, 4))
