"""What travels to a worker."""

import pickle
import pickletools

from batchgen.engine.cluster.errand import packed, receive
from batchgen.engine.cluster.port import Ticket

TICKET = Ticket(3, "http://10.0.0.5:40213", "a token")


def test_a_worker_that_logs_it_logs_no_token() -> None:
    assert "token" not in repr(packed("batchgen.engine.worker.task:work", TICKET))


def test_it_is_a_few_bytes_that_anybody_can_unpickle() -> None:
    sent = pickle.dumps((receive, packed("batchgen.engine.worker.task:work", TICKET)))
    assert len(sent) < 500
    names = [str(argument) for code, argument, _ in pickletools.genops(sent) if "UNICODE" in code.name]
    assert {"_pickle", "_io"} <= set(names)
    assert not any("batchgen" in name for name in names)


def test_it_is_carried_out_by_the_function_that_it_names() -> None:
    assert receive(packed("builtins:repr", TICKET)) == repr(TICKET)
