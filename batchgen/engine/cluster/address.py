"""What `--engine` names: workers that this process starts, or a Dask cluster that is there."""

import re
from dataclasses import dataclass

from batchgen.core.errors import UsageError

_MOST = 1_000
"""Processes that one machine may be asked for: more is a slip of the keyboard."""
_LOCAL = re.compile(r"local:([0-9]{1,9})")
_DASK = re.compile(r"dask(\+tls)?://(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})/?")


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Processes on this machine that are started for a run, and ended with it."""

    workers: int

    def __str__(self) -> str:
        return f"local:{self.workers}"


@dataclass(frozen=True, slots=True)
class DaskEngine:
    """A Dask scheduler that others have started."""

    host: str
    """A name or an address; one of IPv6 in brackets."""
    port: int
    encrypted: bool = False
    """Whether it speaks TLS, with the certificates that Dask's configuration names."""

    def __str__(self) -> str:
        return f"dask{'+tls' if self.encrypted else ''}://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as Dask writes it."""
        return f"{'tls' if self.encrypted else 'tcp'}://{self.host}:{self.port}"


EngineAddress = LocalEngine | DaskEngine


def parse_engine(text: str) -> EngineAddress:
    """Return what the value of `--engine` names. Raises UsageError."""
    if (local := _LOCAL.fullmatch(text)) is not None:
        workers = int(local[1])
        if not 1 <= workers <= _MOST:
            raise UsageError(f"--engine {text}: the number of processes must be from 1 to {_MOST}")
        return LocalEngine(workers)
    if (dask := _DASK.fullmatch(text)) is not None:
        encrypted, host, port = dask.groups()
        if not 1 <= int(port) <= 65535:
            raise UsageError(f"--engine {text}: a port is a number from 1 to 65535")
        return DaskEngine(host, int(port), encrypted is not None)
    raise UsageError(f"--engine {text!r} must be local:N (N processes on this machine) or dask://HOST:PORT")
