"""The sums of journal, ledger and cost reports are one sum, whatever has happened to the books."""

import pytest
from support.histories import history_of
from support.worlds import in_memory

from batchgen.ledger import write_ledger
from batchgen.ledger.charges import file_charges, run_charges
from batchgen.ledger.costs import cost_report
from batchgen.ledger.reported import Reported

BY = ("model", "day", "month", "state", "run")


def disagreements(seed: int) -> list[str]:
    with in_memory() as folder, history_of(folder / "run", seed) as history:
        history.play(100)
        spend = history.journal.spend()
        expected = (spend.charged, -spend.refunded, spend.in_doubt)
        totals = write_ledger("run", folder / "run")
        found = {"ledger": totals}
        for by in BY:
            found[f"journal by {by}"] = cost_report((by,), Reported(run_charges(folder / "run"), unique=True)).total
            found[f"file by {by}"] = cost_report((by,), Reported(file_charges(folder / "run" / "ledger.csv"))).total
        assert totals.rows > 0
    return [name for name, sums in found.items() if (sums.charged, sums.refunded, sums.in_doubt) != expected]


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(8))
def test_journal_ledger_and_reports_agree(seed: int) -> None:
    assert disagreements(seed) == []
