"""The journal of a run folder: the record of everything that was bought."""

from batchgen.journal.attempts import Attempt, ItemResult, PendingOutput, PurchaseName, Spend, Work
from batchgen.journal.binding import SIMULATED, SIMULATOR, Binding, is_embedded, is_simulated, money_mark
from batchgen.journal.chains import SentInput, SourceOutput
from batchgen.journal.database import JournalLockedError, open_for_reading, sqlite_errors
from batchgen.journal.journal import Journal
from batchgen.journal.lock import own, own_journal
from batchgen.journal.outputs import Listing
from batchgen.journal.recorder import GroupRecorder, InlineRecorder, Recorder
from batchgen.journal.requested.requeueing import BuyAgain
from batchgen.journal.schema import FILE_NAME, milliseconds, moment
from batchgen.journal.spending import spend_of
from batchgen.journal.transitions import TransitionError, receipt_of

__all__ = [
    "FILE_NAME",
    "SIMULATED",
    "SIMULATOR",
    "Attempt",
    "Binding",
    "BuyAgain",
    "GroupRecorder",
    "InlineRecorder",
    "ItemResult",
    "Journal",
    "JournalLockedError",
    "Listing",
    "PendingOutput",
    "PurchaseName",
    "Recorder",
    "SentInput",
    "SourceOutput",
    "Spend",
    "TransitionError",
    "Work",
    "is_embedded",
    "is_simulated",
    "milliseconds",
    "moment",
    "money_mark",
    "open_for_reading",
    "own",
    "own_journal",
    "receipt_of",
    "spend_of",
    "sqlite_errors",
]
