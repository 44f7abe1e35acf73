"""What a check of the books finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and where."""

    place: str
    """A file in the run folder, with the line where it has lines."""
    message: str
    is_fault: bool = True
    """Whether the books do not balance; otherwise it is only worth knowing."""
