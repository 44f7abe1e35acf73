"""The API key: where to find it, and a wrapper that never shows it.

It comes from the variable `API18_KEY`, from a file, or from the line of that name in a `.env`, looked for beside the
manifest first and in the working directory second. No flag or manifest holds one: those end up in shell histories and
in git.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from batchgen.core.errors import UsageError

VARIABLE = "API18_KEY"
_KEY = re.compile(r"api18_[A-Za-z0-9]{16}")
_LIKE_A_KEY = re.compile(r"api18_\w+")
_LINE = re.compile(rf"\s*(?:export\s+)?{VARIABLE}\s*=\s*(.*?)\s*(?:\s#.*)?")


class ApiKey:
    """A key that always prints as stars; only the HTTP client calls `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the key itself."""
        return self._text

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that identify the account without revealing the key."""
        return hashlib.sha256(b"batchgen account\n" + self._text.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return "ApiKey(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a key is not copied")


SIMULATED_KEY = ApiKey("api18_Simulated0000000")
"""The key of the embedded simulator: what was bought under it was bought with pretend money."""


def find_key(manifest_folder: Path | None, key_file: Path | None, environment: Mapping[str, str]) -> ApiKey:
    """Return the key. A file that was given overrides the environment, which overrides `.env`.

    Raises UsageError if there is none, or if it does not have the form of a key (docs/api.md).
    """
    if key_file is not None:
        try:
            return checked_key(key_file.read_text(encoding="utf-8").strip(), str(key_file))
        except (OSError, UnicodeDecodeError) as error:
            # Without its cause, which contains the file's bytes.
            raise UsageError(
                f"cannot read the key from {key_file}: {getattr(error, 'strerror', 'not UTF-8')}"
            ) from None
    if environment.get(VARIABLE):
        return checked_key(environment[VARIABLE].strip(), VARIABLE)
    for folder in dict.fromkeys(f for f in (manifest_folder, Path()) if f is not None):
        found = _from_dotenv(folder / ".env")
        if found:
            return checked_key(found, str(folder / ".env"))
    raise UsageError(
        f"no API key: set {VARIABLE}, write {VARIABLE}=… into .env beside the manifest, or give a file with"
        " --api-key-file; `--simulate` needs no key"
    )


def _from_dotenv(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return None  # a folder of this name is probably a virtual environment
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', 'not UTF-8')}") from None
    found = None
    for line in lines:
        if match := _LINE.fullmatch(line):
            value = match[1]
            found = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    return found


def checked_key(text: str, where: str) -> ApiKey:
    """Return a key that was found at `where`. Raises UsageError if it does not have the form of one."""
    if not _KEY.fullmatch(text):
        raise UsageError(
            f"{where} holds no valid API key: expected `api18_` and 16 letters or digits, got {len(text)} characters"
        )
    return ApiKey(text)


def without_keys(text: str) -> str:
    """Return `text` without anything that looks like a key: somebody may have written one in the wrong place."""
    return _LIKE_A_KEY.sub("api18_***", text)
