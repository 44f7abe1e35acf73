"""The shard that a run is asked to be: as it is written, or as the engine that started it numbers its tasks."""

import re
from collections.abc import Callable, Mapping

from batchgen.core.errors import UsageError
from batchgen.core.text import printable
from batchgen.shards.shard import Shard

_AUTO = re.compile(r"auto(?:/([0-9]{1,5}))?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_OPTION = "--shard"


def shard_asked_for(text: str, environment: Mapping[str, str]) -> Shard:
    """Return the shard that `I/N`, `auto` or `auto/N` means; for the latter two, an array job's variables say which.

    Kubernetes gives an index without a count (`auto/N`), AWS Batch an index and a size, SLURM an id, and with it count,
    smallest and largest id. Raises UsageError where they are not there, contradict each other, or leave gaps.
    """
    auto = _AUTO.fullmatch(text)
    try:
        if auto is None:
            return Shard.parse(text)
        return _numbered(environment, None if auto[1] is None else int(auto[1]))
    except ValueError as error:
        raise UsageError(f"{_OPTION} {printable(text, 100)}: {error}") from error


def _numbered(environment: Mapping[str, str], count: int | None) -> Shard:
    found = {name: read(environment, count) for name, mark, read in _ENGINES if environment.get(mark)}
    if not found:
        raise ValueError(
            "this is no task of an array: neither JOB_COMPLETION_INDEX (Kubernetes), AWS_BATCH_JOB_ARRAY_INDEX nor"
            " SLURM_ARRAY_TASK_ID is set; give --shard I/N"
        )
    if len(set(found.values())) > 1:
        said = ", ".join(f"{shard} by {name}" for name, shard in found.items())
        raise ValueError(f"the variables of several engines contradict each other ({said}); give --shard I/N")
    shard = next(iter(found.values()))
    if count not in (None, shard.count):
        raise ValueError(f"the array has {shard.count} tasks, not {count}")
    return shard


def _kubernetes(environment: Mapping[str, str], count: int | None) -> Shard:
    if count is None:
        raise ValueError("JOB_COMPLETION_INDEX comes without a count: give the job's completions, as --shard auto/N")
    return Shard(_number(environment, "JOB_COMPLETION_INDEX"), count)


def _aws_batch(environment: Mapping[str, str], _: int | None) -> Shard:
    return Shard(
        _number(environment, "AWS_BATCH_JOB_ARRAY_INDEX"),
        _number(environment, "AWS_BATCH_JOB_ARRAY_SIZE"),
    )


def _slurm(environment: Mapping[str, str], _: int | None) -> Shard:
    task, count, first, last = (
        _number(environment, f"SLURM_ARRAY_TASK_{word}") for word in ("ID", "COUNT", "MIN", "MAX")
    )
    if last - first + 1 != count:
        raise ValueError(
            f"the array's ids go from {first} to {last}, but it has {count} tasks: an array with a step or gaps, or a"
            " part of one, would leave items out; submit all of it, such as --array=0-3"
        )
    return Shard(task - first, count)


_ENGINES: tuple[tuple[str, str, Callable[[Mapping[str, str], int | None], Shard]], ...] = (
    ("Kubernetes", "JOB_COMPLETION_INDEX", _kubernetes),
    ("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", _aws_batch),
    ("SLURM", "SLURM_ARRAY_TASK_ID", _slurm),
)
"""By engine, the variable that shows it, and how its variables are read."""


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{name} is {'not set' if not text else f'no number: {printable(text, 50)!r}'}")
    return int(text)
