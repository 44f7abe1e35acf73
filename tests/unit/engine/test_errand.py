"""What travels to a worker."""

import pickle

from batchgen.engine.cluster.errand import Errand, carry_out
from batchgen.engine.cluster.port import Ticket

TICKET = Ticket(3, "http://10.0.0.5:40213", "a token")


def test_a_worker_that_logs_it_logs_no_token() -> None:
    assert "a token" not in repr(Errand("batchgen.engine.worker.task:work", TICKET))


def test_it_is_a_few_bytes_and_imports_its_function_where_it_runs() -> None:
    sent = pickle.dumps(Errand("batchgen.engine.worker.task:work", TICKET))
    assert len(sent) < 300
    assert pickle.loads(sent).ticket == TICKET  # noqa: S301 - our own


def test_it_is_carried_out_by_the_function_that_it_names() -> None:
    assert carry_out(Errand("builtins:repr", TICKET)) == repr(TICKET)
