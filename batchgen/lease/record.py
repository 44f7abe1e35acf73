"""What a lease says, as it is written down."""

import json
from dataclasses import asdict, dataclass

from batchgen.core.errors import RunFolderError
from batchgen.core.text import json_object, printable
from batchgen.lease.process import ProcessName

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """Who holds a lease, or held it last. Each heartbeat writes it anew."""

    generation: int
    """How often it was taken."""
    holder: ProcessName
    since: str
    """When it was taken, UTC."""
    beat: int = 0
    """Heartbeats so far."""
    receipts: int = 0
    """The generation whose copy of the receipts is complete; 0: nothing was bought under this lease yet."""
    released: bool = False
    """Whether the holder ended in order."""

    def encoded(self) -> bytes:
        """Return it as it is written. No two are alike: generation and beat count up."""
        return json.dumps({"lease": _FORMAT, **asdict(self)}).encode()

    @classmethod
    def decoded(cls, content: bytes, place: str) -> "LeaseRecord":
        """Return what was written at `place`, which messages name. Raises RunFolderError."""
        values = json_object(content) or {}
        if isinstance(version := values.get("lease"), int) and version > _FORMAT:
            raise RunFolderError(f"the lease {place} was written by a newer batchgen; use that version")
        try:
            return cls(
                generation=int(values["generation"]),
                holder=ProcessName.of(values["holder"]),
                since=str(values["since"]),
                beat=int(values["beat"]),
                receipts=int(values["receipts"]),
                released=bool(values["released"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"the lease {place} cannot be read, so nothing says what was bought under it; restore it from a backup"
            ) from error

    @property
    def who(self) -> str:
        """The holder, for people."""
        return printable(f"process {self.holder.pid} on {self.holder.host}, since {self.since}", 200)
