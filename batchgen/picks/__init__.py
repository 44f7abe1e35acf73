"""What people kept and rejected among the outputs of a run: `picks.jsonl` in its run folder."""

from batchgen.picks.file import (
    CHOICES,
    FILE_NAME,
    LONGEST_REASON,
    Choice,
    FollowedPicks,
    Pick,
    append_picks,
    is_text,
    read_picks,
)
from batchgen.picks.outputs import PickedOutput, PicksOverview, overview, picked_outputs
from batchgen.picks.sheet import NEEDED, FindOutput, SheetImport, export_sheet

__all__ = [
    "CHOICES",
    "FILE_NAME",
    "LONGEST_REASON",
    "NEEDED",
    "Choice",
    "FindOutput",
    "FollowedPicks",
    "Pick",
    "PickedOutput",
    "PicksOverview",
    "SheetImport",
    "append_picks",
    "export_sheet",
    "is_text",
    "overview",
    "picked_outputs",
    "read_picks",
]
