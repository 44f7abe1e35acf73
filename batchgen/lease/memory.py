"""Leases in memory: the working fake of the seam, for virtual time and tests."""

from collections.abc import Callable, Iterator

from batchgen.core.errors import RunFolderError
from batchgen.lease.port import Log, Versioned


class MemoryPlace:
    """See `LeasePlace`."""

    def __init__(self) -> None:
        self._records: dict[str, tuple[bytes, int]] = {}
        self.logs: dict[str, bytearray] = {}
        """What was logged, by name."""
        self.before_writing: Callable[[str], None] = lambda _: None
        """Called with each name before it is written; what it raises is what the place raises."""

    def __str__(self) -> str:
        return "memory"

    def read(self, name: str) -> Versioned | None:
        """See `LeasePlace`."""
        found = self._records.get(name)
        return None if found is None else Versioned(found[0], str(found[1]))

    def create(self, name: str, content: bytes) -> str | None:
        """See `LeasePlace`."""
        self.before_writing(name)
        return None if name in self._records else self._write(name, content, 1)

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """See `LeasePlace`."""
        self.before_writing(name)
        found = self._records.get(name)
        return None if found is None or str(found[1]) != version else self._write(name, content, found[1] + 1)

    def _write(self, name: str, content: bytes, version: int) -> str:
        self._records[name] = content, version
        return str(version)

    def begin_log(self, name: str) -> Log:
        """See `LeasePlace`."""
        self.before_writing(name)
        if name in self.logs:
            raise RunFolderError(f"{name} exists already: another process writes it")
        return _MemoryLog(self, name)

    def read_log(self, name: str) -> Iterator[bytes] | None:
        """See `LeasePlace`."""
        return iter([bytes(self.logs[name])]) if name in self.logs else None


class _MemoryLog:
    """See `Log`."""

    def __init__(self, place: MemoryPlace, name: str) -> None:
        self._place, self._name = place, name
        place.logs[name] = bytearray()

    def append(self, data: bytes) -> None:
        """See `Log`."""
        self._place.before_writing(self._name)
        self._place.logs[self._name] += data

    def close(self) -> None:
        """See `Log`."""
