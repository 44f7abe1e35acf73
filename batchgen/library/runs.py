"""From a command's options to the session of a prepared run: for the commands and for Python alike."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from batchgen.core.credentials import ApiKey
from batchgen.session.connection.account import Access
from batchgen.session.host import Host
from batchgen.session.open_run import Engine
from batchgen.session.prepare import PreparedRun
from batchgen.session.session import RunSession


def access_from(options: Mapping[str, Any], find: Callable[[], ApiKey], *, base_url_is_default: bool) -> Access:
    """Return how the API is to be reached, as options of `batchgen run` and other commands say."""
    return Access(
        find_key=find,
        base_url=options["base_url"],
        base_url_is_default=base_url_is_default,
        proxy=options["proxy"],
        rotated_key=options["rotated_key"],
        environment=os.environ,
        catalog=None if options["catalog"] is None else Path(options["catalog"]),
    )


def session_of(prepared: PreparedRun, options: Mapping[str, Any], access: Access, host: Host) -> RunSession:
    """Return the session that buys what a prepared manifest lacks, as the options of `batchgen run` say.

    Raises UsageError.
    """
    engine = _engine_of(options.get("engine"))
    wait_for_balance = options["wait_for_balance"]
    return RunSession(access=access, host=host, prepared=prepared, wait_for_balance=wait_for_balance, engine=engine)


def _engine_of(address: str | None) -> Engine | None:
    """Return where others buy for a run, as `--engine` says. Raises UsageError."""
    if address is None:
        return None
    from batchgen.engine.cluster.address import parse_engine  # most runs buy alone
    from batchgen.engine.running import DaskWorkers

    return DaskWorkers(parse_engine(address))
