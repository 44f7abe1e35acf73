"""The options of `batchgen run` and `batchgen plan` as keywords, and as what the commands make of theirs."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypedDict

from batchgen.settings import BY_NAME, SETTINGS, Setting

PathLikeText = str | PathLike[str]
Money = Decimal | str | int


class PlanKeywords(TypedDict, total=False):
    """What `Manifest.plan` takes: the options of `batchgen plan`."""

    output: PathLikeText | None
    """The output folder, or the address of a place in an object store."""
    state: PathLikeText | None
    """With an object store, the local folder for journals and ledgers."""
    run: str | None
    """The run folder's name (default: the manifest's name)."""
    only: str | Iterable[str]
    """Patterns for ids, or `tag:NAME=VALUE`."""
    shard: str | None
    """`0/4`, `auto` or `auto/4`: the part of the items that it is about."""
    strict: bool
    """Whether warnings refuse the manifest."""
    simulate: bool
    """Whether it is about pretended purchases, with an embedded simulator."""
    retry: str | Iterable[str]
    """`failed`, `rejected`, `lost`, `source`."""
    again: str | Iterable[str]
    """Patterns for finished items to buy again."""
    skip_bought: PathLikeText | Iterable[PathLikeText]
    """Run folders, ledgers or lists of what was bought elsewhere."""
    renamed: str | None
    """`adopt` or `buy`: what becomes of items that were bought under another id."""
    catalog: PathLikeText | None
    """Parameter tables to use in place of the shipped ones."""
    max_new: int | None


class RunKeywords(PlanKeywords, total=False):
    """What `Manifest.run`, `arun` and `results` take: the options of `batchgen run`."""

    lease: PathLikeText | None
    """Where a shard's lease and a copy of its receipts are kept: a folder, or `s3://BUCKET/PREFIX`."""
    engine: str | None
    """Workers to buy on: `local:4` (processes on this machine), or `dask://HOST:PORT`."""
    start_at: str | datetime | None
    """When to begin: `22:00`, `2026-11-26T22:00`; local time unless it names an offset."""
    until: str | datetime | None
    """Nothing is submitted that would end later; written as `start_at`."""
    buy_again: bool
    """Whether what other records show as bought may be paid for a second time."""
    locked: bool
    """Whether a manifest that differs from its lock is refused."""
    yes: bool
    """Whether everything else that would be asked is confirmed."""
    wait_for_balance: bool
    base_url: str | None
    key: str | None
    """The API key; without it, it is looked for as the command does."""
    api_key_file: PathLikeText | None
    proxy: str | None
    rotated_key: bool
    ping: str | None
    """A check that is told of the beginning and the end, as Healthchecks has them."""
    notify: str | None
    """Where JSON is posted: at the end, at 80 % of a cap, at the first doubt, when submissions pause."""
    on_exit: str | None
    """A shell command that is run at the end."""
    concurrency: int | None
    max_cost: Money | None
    """USD, as text or Decimal."""
    budget: Money | None
    """USD, as text or Decimal."""
    poll_min: float | None
    """Seconds."""
    poll_max: float | None
    """Seconds."""
    canary: int | None
    max_failures: int | str | None
    """A number, or a share such as `5%`."""
    max_flagged: int | str | None
    """A number, or a share such as `5%`."""
    report: str | None
    """`full`, `page` (without making thumbnails) or `none`: what is written at the end as report.html."""


_LISTS = ("only", "again", "skip_bought")
_PLAIN: dict[str, Any] = {
    "output": None, "state": None, "name": None, "strict": False, "simulate": False, "renamed": None, "catalog": None,
    "buy_again": False, "locked": False, "yes": False, "wait_for_balance": False, "base_url": None, "key": None,
    "api_key_file": None, "proxy": None, "rotated_key": False, "ping": None, "notify": None, "on_exit": None,
    "start_at": None, "until": None, "shard": None, "lease": None, "engine": None,
}  # fmt: skip
_FLAGS = tuple(name for name, value in _PLAIN.items() if value is False)
VARIABLES = {"base_url": "BATCHGEN_BASE_URL", "proxy": "BATCHGEN_PROXY", "catalog": "BATCHGEN_CATALOG"}
"""Variables of the environment that stand in for options that are not given, as for the command."""


def options_of(keywords: Mapping[str, Any], *, planning: bool = False) -> dict[str, Any]:
    """Return keywords as the options of the command, by the names that the command has for them.

    Raises TypeError for a keyword that it does not have, for money as a float, and where True or False is expected.
    """
    allowed = {*PlanKeywords.__annotations__, *(() if planning else RunKeywords.__annotations__)}
    for name in keywords:
        if name not in allowed:
            raise TypeError(f"there is no option {name!r}; the options are {', '.join(sorted(allowed))}")
    given = {"name" if name == "run" else name: value for name, value in keywords.items()}
    options = _PLAIN | {name: value for name, value in given.items() if name in _PLAIN}
    for name in _FLAGS:
        if not isinstance(options[name], bool):  # a text such as "no" would count as True
            raise TypeError(f"{name} must be True or False, not {type(options[name]).__name__}: {options[name]!r}")
    for name in ("start_at", "until"):
        if isinstance(options[name], datetime):
            options[name] = options[name].isoformat(timespec="seconds")
    for name in ("catalog", "api_key_file"):
        options[name] = None if options[name] is None else Path(options[name])
    for name in ("output", "state", "lease"):
        options[name] = None if options[name] is None else fspath(options[name])
    for name in _LISTS:
        options[name] = _listed(given.get(name, ()))
    options["skip_bought"] = tuple(map(Path, options["skip_bought"]))
    options["retry"] = ",".join(_listed(given.get("retry", ())))
    for setting in SETTINGS:
        options[setting.name] = _setting(BY_NAME[setting.name], given.get(setting.name))
    return options


def _listed(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, str | PathLike) else tuple(value)


def _setting(setting: Setting, value: Any) -> str | None:
    """Return a setting as a flag would give it. Raises TypeError."""
    if value is None:
        return None
    if isinstance(value, bool) or (setting.kind == "usd" and isinstance(value, float)):
        kind = "text or Decimal" if setting.kind == "usd" else "a number"
        raise TypeError(f"{setting.name} must be {kind}, not {type(value).__name__}: {value!r}")
    return format(value, "f") if isinstance(value, Decimal) else str(value)
