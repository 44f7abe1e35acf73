"""What a run is asked to do: which manifest, which of its items, and what is bought besides what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from batchgen.catalog import Catalog
from batchgen.core.errors import UsageError
from batchgen.core.records import UNSUCCESSFUL, State
from batchgen.journal.requested.requeueing import NOTHING_BOUGHT_AGAIN, BuyAgain
from batchgen.policy.wall_time import WallTime
from batchgen.session.locate import STATE_VARIABLE
from batchgen.session.locate import VARIABLE as OUTPUT_VARIABLE
from batchgen.settings import SETTINGS
from batchgen.shards import Shard, shard_asked_for
from batchgen.store import is_address

Renaming = Literal["adopt", "buy"]


@dataclass(frozen=True, slots=True)
class Hours:
    """When a run begins and when it is to be over, in UTC; None: at once, and whenever it is."""

    start: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Which manifest, which of its items, and what is asked for them."""

    manifest: Path
    environment: Mapping[str, str]
    catalog: Catalog
    """The parameter tables to check against and to price by."""
    output: str | None = None
    """The output folder, or the address of a place in an object store."""
    state: str | None = None
    """The folder for the run folders of outputs in an object store."""
    name: str | None = None
    simulate: bool = False
    """Whether it is about the pretended purchases of `--simulate`, which have a run folder of their own."""
    only: tuple[str, ...] = ()
    strict: bool = False
    """Whether warnings refuse the manifest."""
    flags: Mapping[str, str | None] | None = None
    retry: frozenset[State] = frozenset()
    retry_sources: bool = False
    """Whether finished items are bought again that others need, and whose files the provider no longer has."""
    again: BuyAgain = NOTHING_BOUGHT_AGAIN
    skip_bought: tuple[Path, ...] = ()
    shard: Shard | None = None
    """The part of the manifest's items that it is about; None: all of them."""
    lease: str | None = None
    """Where the shard's lease is kept: a folder, or an address in an object store; None: in the output folder."""
    engine: str | None = None
    """The workers that it buys on, as `--engine` names them; None: it buys by itself."""
    renamed: Renaming | None = None
    """What is to become of purchases that are asked for under another id; None: to be asked."""
    buy_again: bool = False
    """Whether what other records show as bought may be paid for a second time; else that is asked."""
    locked: bool = False
    """Whether a manifest that has drifted from its lock is refused, and the lock's total is a cap."""
    start_at: WallTime | None = None
    """When to begin; None: at once."""
    until: WallTime | None = None
    """When the run is to be over; None: whenever it is."""
    yes: bool = False
    """Whether everything else that would be asked is confirmed."""

    @property
    def lasting_options(self) -> list[str]:
        """The options with which the same command continues, from any working directory.

        What was confirmed or asked for once (`--yes`, `--retry`, `--again`, times) is not among them, nor is a
        password of a proxy.
        """
        given = self.flags or {}
        output = self.output or self.environment.get(OUTPUT_VARIABLE) or None  # another shell may not have it
        remote = bool(output) and is_address(str(output))
        state = self.state or (self.environment.get(STATE_VARIABLE) or None if remote else None)
        files = [("--output", output), ("--state", state), ("--catalog", given.get("catalog"))]
        files += [("--api-key-file", given.get("api_key_file")), *(("--skip-bought", str(p)) for p in self.skip_bought)]
        values = [(option, _from_anywhere(str(file))) for option, file in files if file is not None]
        values += [("--run", self.name)] if self.name is not None else []
        values += [("--shard", str(self.shard))] if self.shard is not None else []
        values += [("--lease", _from_anywhere(self.lease))] if self.lease is not None else []
        values += [("--engine", self.engine)] if self.engine is not None else []
        values += [("--proxy", _without_password(proxy))] if (proxy := given.get("proxy")) else []
        flags = ((setting.option, given.get(setting.name)) for setting in SETTINGS if setting.flag)
        values += [(option, str(value)) for option, value in flags if value is not None]
        return [word for pair in values for word in pair] + [option for name, option in _SWITCHES if given.get(name)]

    def hours(self, now: datetime) -> Hours:
        """Return when the run begins and is to be over, where it is asked for now; the end counts from the beginning.

        Raises UsageError.
        """
        start = None if self.start_at is None else self.start_at.after(now)
        if self.start_at is not None and start is None:
            raise UsageError(f"--start-at {self.start_at.text} has passed; leave it out to start at once")
        until = None if self.until is None else self.until.after(start or now)
        if self.until is not None and until is None:
            why = "has passed" if start is None else "is not after --start-at"
            raise UsageError(f"--until {self.until.text} {why}")
        return Hours(start, until)

    @classmethod
    def of(
        cls, manifest: Path, environment: Mapping[str, str], catalog: Catalog, options: Mapping[str, Any]
    ) -> "RunRequest":
        """Return the request of a command's options, by their names; those that it does not have are left out.

        Raises UsageError.
        """
        if (renamed := options["renamed"]) not in (None, *get_args(Renaming)):  # anything else would buy again
            raise UsageError(f"renamed must be adopt or buy, got {renamed!r}")
        retry, retry_sources = parse_retry(options.get("retry") or "")
        return cls(
            manifest=manifest,
            environment=environment,
            catalog=catalog,
            output=options["output"],
            state=options.get("state"),
            name=options["name"],
            simulate=options["simulate"],
            only=tuple(options["only"]),
            strict=options["strict"],
            flags=options,
            retry=retry,
            retry_sources=retry_sources,
            again=BuyAgain(tuple(options["again"])),
            skip_bought=tuple(options["skip_bought"]),
            lease=options.get("lease"),
            engine=options.get("engine"),
            shard=None if (shard := options.get("shard")) is None else shard_asked_for(shard, environment),
            renamed=renamed,
            buy_again=options.get("buy_again", False),
            locked=options.get("locked", False),
            start_at=_time("--start-at", options.get("start_at")),
            until=_time("--until", options.get("until")),
            yes=options.get("yes", False),
        )


_SWITCHES = (("strict", "--strict"), ("locked", "--locked"), ("wait_for_balance", "--wait-for-balance"))
"""Options without a value that are for each invocation of the same command."""


def _from_anywhere(file: str) -> str:
    """Return a path, or an address, that means the same in any working directory."""
    return file if is_address(file) else str(Path(file).absolute())


def _without_password(proxy: str) -> str:
    """Return a proxy's address, or a word for one that holds a user or a password."""
    return "URL" if "@" in proxy else proxy


def _time(option: str, text: str | None) -> WallTime | None:
    """Return the time that an option names. Raises UsageError."""
    try:
        return None if text is None else WallTime.parse(text)
    except ValueError as error:
        raise UsageError(f"{option} {error}: {text!r}") from error


SOURCE = "source"
"""The word of `--retry` for the sources of items that stay pending, since the provider no longer has their files."""


def parse_retry(text: str) -> tuple[frozenset[State], bool]:
    """Return the states of `--retry failed,lost`, and whether it has the word `source`; raises UsageError."""
    words = {word.strip() for word in text.split(",") if word.strip()}
    allowed = ", ".join((*UNSUCCESSFUL.ordered, SOURCE))
    for word in sorted(words - {SOURCE}):
        if word not in UNSUCCESSFUL:
            raise UsageError(f"--retry {word}: what can be retried is {allowed}")
    return frozenset(State(word) for word in words - {SOURCE}), SOURCE in words
