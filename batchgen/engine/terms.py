"""What a start buys with: everything about a run that is the same for all of its items, but the key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from batchgen.engine.codec import Json, get_object, get_seconds, get_text, get_time, put_time, reading
from batchgen.settings import BY_NAME, Settings, parse_setting, setting_text


@dataclass(frozen=True, slots=True)
class Terms:
    """See the module."""

    run: str
    """Its name."""
    folder: Path
    """The run folder, by the coordinator's path."""
    mark: str
    """What a file in the run folder says, so that a worker knows whether it sees that folder."""
    outputs: str
    """The address of the outputs in an object store; empty: they are in the run folder."""
    base_url: str
    account: str
    """The fingerprint of the key."""
    catalog_version: str
    tables: str
    """The parameter tables, as their file has them; empty: those of the release."""
    settings: Settings
    wait_for_balance: bool
    until: datetime | None
    capped: bool
    """Whether there is a cap, so that prices are to be confirmed early."""
    durations: Sequence[tuple[str, str, float]] = ()
    """Model, price key and seconds of earlier jobs."""

    def encoded(self) -> Json:
        """Return it as JSON."""
        settings = {f.name: getattr(self.settings, f.name) for f in fields(self.settings)}
        return {
            "run": self.run, "folder": str(self.folder), "mark": self.mark, "outputs": self.outputs,
            "base_url": self.base_url, "account": self.account, "catalog_version": self.catalog_version,
            "tables": self.tables, "wait_for_balance": self.wait_for_balance, "until": put_time(self.until),
            "settings": {name: setting_text(value) for name, value in settings.items() if value is not None},
            "capped": self.capped, "durations": [list(row) for row in self.durations],
        }  # fmt: skip

    @classmethod
    def decoded(cls, content: Mapping[str, Any]) -> "Terms":
        """Return what `encoded` wrote. Raises UnreadableError."""
        terms: Terms = reading(cls._read, dict(content))
        return terms

    @classmethod
    def _read(cls, content: Json) -> "Terms":
        settings = {name: parse_setting(BY_NAME[name], text) for name, text in get_object(content["settings"]).items()}
        return cls(
            run=get_text(content["run"]), folder=Path(get_text(content["folder"])), mark=get_text(content["mark"]),
            outputs=get_text(content["outputs"]), base_url=get_text(content["base_url"]),
            account=get_text(content["account"]), catalog_version=get_text(content["catalog_version"]),
            tables=get_text(content["tables"]),
            settings=Settings(**settings), wait_for_balance=bool(content["wait_for_balance"]),  # type: ignore[arg-type]  # parsed by name
            until=get_time(content["until"]), capped=bool(content["capped"]),
            durations=[(get_text(m), get_text(key), get_seconds(took)) for m, key, took in content["durations"]],
        )  # fmt: skip


def settings_of_start(settings: Settings, items: int) -> Settings:
    """Return the settings of a start with so many items: the limits of the whole run are the coordinator's.

    So is the wait for parked jobs, to which it goes back when it has no others.
    """
    return replace(
        settings, concurrency=max(1, min(settings.concurrency, items)), max_cost=None, budget=None, max_new=None,
        max_failures=None, max_flagged=None, canary=None, max_in_doubt=None,
        drain=0.0,
    )  # fmt: skip
