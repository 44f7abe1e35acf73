"""The settings of a run: one table, from which come the `run:` block's schema, the flags, and the BATCHGEN_* variables.

A flag wins over a variable, a variable over the manifest, and the manifest over the default.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Literal
from unicodedata import normalize

from batchgen.core.errors import UsageError
from batchgen.core.limits import Count, Share

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a run may be called; it names a folder."""


def fit_run_name(text: str) -> str:
    """Return `text` made fit for the name of a run; empty where nothing of it can stay."""
    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).lstrip("._-")[:64].rstrip("-.")


SHORTEST_POLL = 0.01
"""Seconds; the provider asks for 2 to 5 (docs/api.md), less makes sense against the simulator only."""

Kind = Literal["count", "usd", "seconds", "text", "count_or_share"]
Value = int | float | Decimal | str | Count | Share


@dataclass(frozen=True, slots=True)
class Setting:
    """One entry of the `run:` block."""

    name: str
    kind: Kind
    help: str
    choices: tuple[str, ...] = ()
    minimum: int = 0
    flag: bool = False
    """Whether `batchgen run` also has it as a flag."""

    @property
    def variable(self) -> str:
        """The environment variable of the same name."""
        return f"BATCHGEN_{self.name.upper()}"

    @property
    def option(self) -> str:
        """The flag of the same name."""
        return f"--{self.name.replace('_', '-')}"


SETTINGS = (
    Setting(
        "concurrency",
        "count",
        "jobs in flight at the provider at the same time (default 8)",
        minimum=1,
        flag=True,
    ),
    Setting("max_cost", "usd", "hard cap, in USD, on everything this run folder ever costs", flag=True),
    Setting("budget", "usd", "hard cap, in USD, on the cost of this invocation", flag=True),
    Setting("path", "text", "pattern of the paths below files/; the extension is added (default ${id})"),
    Setting("poll_min", "seconds", "shortest time between two polls of a job, seconds (default 2)", flag=True),
    Setting("poll_max", "seconds", "longest time between two polls of a job, seconds (default 5)", flag=True),
    Setting("max_new", "count", "submit at most this many new jobs in one invocation", flag=True),
    Setting(
        "max_failures",
        "count_or_share",
        "stop submitting after this many failed, rejected or lost items, or when more than a share (5%) of those that"
        " ended did so, once 20 have ended",
        minimum=1,
        flag=True,
    ),
    Setting(
        "canary",
        "count",
        "buy this many items of each model and shape first, and the others once those have come as they should",
        flag=True,
    ),
    Setting(
        "max_flagged",
        "count_or_share",
        "stop submitting after this many items with flagged files, or when more than a share (5%) of those that were"
        " judged have some, once 20 were judged",
        minimum=1,
        flag=True,
    ),
    Setting(
        "max_attempts",
        "count",
        "submissions of one item per invocation while the API is busy (default 8)",
        minimum=1,
    ),
    Setting(
        "max_in_doubt",
        "count",
        "stop after this many submissions without a clear answer (default 20, or 1 % of those sent where that is more)",
    ),
    Setting(
        "give_up_after", "seconds", "stop the run after the API has been unreachable for so many seconds (default 1800)"
    ),
    Setting(
        "job_timeout",
        "seconds",
        "park a job that takes longer, seconds (default: far longer than its model usually takes)",
        minimum=1,
    ),
    Setting("drain", "seconds", "how many seconds a run waits once only parked jobs are left (default 3600)"),
    Setting("min_free", "count", "MiB to keep free on the disk; below that, buying stops (default 64)"),
    Setting("downloads", "count", "files downloaded at the same time (default 8)", minimum=1),
    Setting(
        "endpoint",
        "text",
        "submit to /v1/generate, or to the model's own endpoint",
        choices=("generate", "model"),
    ),
    Setting(
        "report",
        "text",
        "write report.html with thumbnails at the end, the page without making thumbnails, or none (default full)",
        choices=("full", "page", "none"),
        flag=True,
    ),
    Setting("submit", "text", "poll for results, or hold each POST open with ?wait=true", choices=("poll", "wait")),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. Seconds and USD as in `SETTINGS`; None: no limit, or a default worked out later."""

    concurrency: int = 8
    max_cost: Decimal | None = None
    budget: Decimal | None = None
    path: str = "${id}"
    poll_min: float = 2.0
    poll_max: float = 5.0
    max_new: int | None = None
    max_failures: Count | Share | None = None
    max_flagged: Count | Share | None = None
    canary: int | None = None
    max_attempts: int = 8
    max_in_doubt: int | None = None
    give_up_after: float = 1800.0
    job_timeout: float | None = None
    drain: float = 3600.0
    min_free: int = 64
    downloads: int = 8
    endpoint: str = "generate"
    report: str = "full"
    submit: str = "poll"


# Python takes the digits of any script for digits, and a cap must not be read by a rule that its writer does not see.
_NUMBER = re.compile(r"(?=\.?[0-9])[0-9]{0,12}(?:\.([0-9]{0,40}))?")
_WHOLE = re.compile(r"[0-9]{1,12}")
_EXPONENT = re.compile(r"(?=\.?[0-9])[0-9]*\.?[0-9]*[eE][-+]?[0-9]+")
_MONEY_DIGITS = 9


def parse_setting(setting: Setting, value: object) -> Value:
    """Return `value` (from a flag, a variable or a manifest) in the setting's type; raises ValueError with a reason."""
    if setting.kind == "text":
        if not isinstance(value, str) or not value:
            raise ValueError("must be text")
        if setting.choices and value not in setting.choices:
            raise ValueError(f"must be {', '.join(setting.choices[:-1])} or {setting.choices[-1]}")
        return value
    # Numbers travel as text, so that money never passes through a float.
    text = str(value).strip()
    if setting.kind in ("count", "count_or_share"):
        return _count(setting, int(value) if isinstance(value, float) and value.is_integer() else text)
    if _EXPONENT.fullmatch(text):
        raise ValueError("must be written in plain digits, without an exponent")
    found = None if isinstance(value, bool) else _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError("must be a number, 0 or larger")
    if setting.kind == "usd" and len(found[1] or "") > _MONEY_DIGITS:
        raise ValueError(f"must have at most {_MONEY_DIGITS} digits after the decimal point")
    amount = Decimal(text)
    if amount < setting.minimum:
        raise ValueError(f"must be {setting.minimum} or larger")
    return amount if setting.kind == "usd" else float(amount)


def _count(setting: Setting, value: int | str) -> int | Count | Share:
    text = str(value)
    either = setting.kind == "count_or_share"
    if either and (share := Share.parse(text)) is not None:
        return share
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"must be a whole number{', or a share such as 5%' if either else ''}")
    if int(text) < setting.minimum:
        raise ValueError(f"must be {setting.minimum} or larger")
    return Count(int(text)) if either else int(text)


def setting_text(value: Value) -> str:
    """Return a setting's value as `parse_setting` reads it back: plain digits, no exponent."""
    if isinstance(value, str | Count | Share):
        return str(value)
    return format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")


def resolve_settings(flags: Mapping[str, Any], environment: Mapping[str, str], manifest: Mapping[str, Any]) -> Settings:
    """Return the settings in force. `manifest` holds parsed values; the others are text or None where not given.

    Raises UsageError that names the flag or variable at fault.
    """
    chosen: dict[str, Any] = dict(manifest)
    for setting in SETTINGS:
        if environment.get(setting.variable):
            chosen[setting.name] = _parsed(setting, setting.variable, environment[setting.variable])
        if flags.get(setting.name) is not None:
            chosen[setting.name] = _parsed(setting, setting.option, flags[setting.name])
    settings = Settings(**{f.name: chosen[f.name] for f in fields(Settings) if f.name in chosen})
    if settings.poll_min < SHORTEST_POLL:
        raise UsageError(f"poll_min is {settings.poll_min:g} s; polls come at least {SHORTEST_POLL:g} s apart")
    if settings.poll_max < settings.poll_min:
        raise UsageError(f"poll_max ({settings.poll_max:g} s) is shorter than poll_min ({settings.poll_min:g} s)")
    return settings


def _parsed(setting: Setting, where: str, value: str) -> Any:
    try:
        return parse_setting(setting, value)
    except ValueError as error:
        raise UsageError(f"{where} {error}: {value!r}") from error
