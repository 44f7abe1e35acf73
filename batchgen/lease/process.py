"""Which process holds a lease, so that others on the same host can tell that it is dead."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessName:
    """A process, by names that are not given twice: a number alone is, also to others in another container."""

    host: str
    pid: int
    boot: str = ""
    """The host's boot; empty where the system does not tell."""
    numbering: str = ""
    """The namespace that the number belongs to (pid_namespaces(7))."""
    started: str = ""
    """In clock ticks since the boot."""

    @classmethod
    def of_this(cls) -> "ProcessName":
        """Return the name of this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _boot(), _numbering(), _started(pid))

    @classmethod
    def of(cls, values: dict[str, Any]) -> "ProcessName":
        """Return a name that was written down. Raises KeyError, TypeError, ValueError."""
        texts = (str(values[name]) for name in ("boot", "numbering", "started"))
        return cls(str(values["host"]), int(values["pid"]), *texts)

    def is_dead(self) -> bool:
        """Whether the process is certainly over: it ran on this host, under the same numbers, and is not here now."""
        here = (_boot(), _numbering())
        return bool(all(here) and self.started) and (self.boot, self.numbering) == here and self._is_gone()

    def _is_gone(self) -> bool:
        return _started(self.pid) != self.started


def _boot() -> str:
    return _read(_PROC / "sys/kernel/random/boot_id")


def _numbering() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began; empty where there is none, or only its remains (a zombie)."""
    # The name before it is in parentheses and may hold any character: proc_pid_stat(5).
    fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in ("Z", "X") else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
