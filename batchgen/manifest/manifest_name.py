"""The name of a manifest, for commands that only need to find its run folder."""

from contextlib import suppress
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.manifest.yaml.document import Document
from batchgen.manifest.yaml.problems import BrokenOffError, Problems
from batchgen.settings import RUN_NAME


def read_name(path: Path) -> str:
    """Return the `name` of the manifest at `path`; nothing after it is read. Raises UsageError if there is none."""
    try:
        with path.open("rb") as file, suppress(BrokenOffError):
            for key, _, value, _ in Document(path, file, Problems(path)).entries("items"):
                if key == "name" and isinstance(value, str) and RUN_NAME.fullmatch(value):
                    return value
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    raise UsageError(f"{path} is not a manifest with a `name`; `batchgen validate` says what is wrong with it")
