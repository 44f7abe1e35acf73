"""From a command's options to a prepared run: for the commands and for Python alike."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchgen.catalog import load_catalog
from batchgen.engine.cluster.address import parse_engine
from batchgen.session.prepare import PreparedRun, prepare
from batchgen.session.request import RunRequest


@contextmanager
def prepared_run(manifest: Path, options: Mapping[str, Any]) -> Iterator[PreparedRun]:
    """Read and check a manifest as the options of `batchgen run` or `plan` say, for as long as the block lasts.

    Raises ManifestError, UsageError, DiskError.
    """
    if (engine := options.get("engine")) is not None:
        parse_engine(engine)  # a manifest may take a while
    file = options.get("catalog")
    request = RunRequest.of(manifest, os.environ, load_catalog(None if file is None else Path(file)), options)
    with prepare(request) as prepared:
        yield prepared
