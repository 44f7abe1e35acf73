"""The process of `local:N`: a Dask scheduler, and the nannies of N workers with one thread each.

It writes one line of JSON, the scheduler's address and what a client needs to be let in, once there is a worker.
It ends in order when it is told to, and at once when its standard input ends: whoever started it is gone then, and with
this process its workers go.
"""

import json
import logging
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from batchgen.engine.cluster.local import CLOSE

_SETTINGS: dict[str, Any] = {
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.work-stealing": True,  # else a ticket stays with the worker that had the fewest, for good
    "distributed.scheduler.allowed-failures": 0,  # who placed a ticket decides whether there is another one
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.worker.profile.enabled": False,
    "distributed.deploy.lost-worker-timeout": "1 hour",  # a nanny starts its worker anew, however busy the machine is
}
_LOCALHOST = "127.0.0.1"


def main() -> None:
    """Start what the command line asks for: how many workers, and the folder for what they keep."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what workers print is no answer
    workers, folder = int(sys.argv[1]), Path(sys.argv[2])
    close = threading.Event()
    threading.Thread(target=_read, args=(folder, close), daemon=True).start()

    import dask
    from distributed import LocalCluster, Security

    dask.config.set(_SETTINGS)
    security = Security.temporary()
    with LocalCluster(
        n_workers=1,  # the first one shows whether they can start; the others need not be waited for
        threads_per_worker=1,
        host=_LOCALHOST,
        security=security,
        memory_limit=0,
        local_directory=str(folder),
        silence_logs=logging.WARNING,
        # Without an address, its pages would take port 8787.
        scheduler_kwargs={"dashboard": False, "dashboard_address": f"{_LOCALHOST}:0"},
        worker_dashboard_address=None,
    ) as cluster:
        cluster.scale(workers)
        certificate = {
            "tls_ca_file": security.tls_ca_file,
            "tls_client_cert": security.tls_client_cert,
            "tls_client_key": security.tls_client_key,
            "require_encryption": True,
        }
        answers.write(json.dumps({"address": cluster.scheduler_address, "security": certificate}) + "\n")
        answers.flush()
        close.wait()


def _read(folder: Path, close: threading.Event) -> None:
    if sys.stdin.buffer.readline() == CLOSE:
        close.set()
        return
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main()
