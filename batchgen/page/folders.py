"""A page is handed on, and folders tell about a machine and its owner: paths in it are names alone."""

import re
import shlex
from pathlib import Path

_FOLDERS = re.compile(r"(?<![\w:/.~-])~?/(?:[^/\s'\"]+/)*(?=[^/\s]|$)")
"""What comes before the last part of an absolute path; addresses of servers are left alone."""


def command_without_folders(command: str) -> str:
    """Return a command with the last part of each absolute path alone."""
    try:
        return shlex.join(Path(word).name if word.startswith("/") else word for word in shlex.split(command))
    except ValueError:  # it was cut within quotes
        return _FOLDERS.sub("", command)


def text_without_folders(text: str, folder: Path) -> str:
    """Return a text with the name of the run folder in place of its path, and so with what else is a path."""
    for path in (folder.absolute(), folder.resolve()):
        text = text.replace(str(path), path.name)
    return _FOLDERS.sub("", text)
