"""The variables that an entry uses, as they are kept with its items: what metadata says of how they were made."""

from collections.abc import Iterable
from json import dumps
from json.encoder import encode_basestring_ascii as _quoted

from batchgen.manifest.template import Variables


class UsedVariables:
    """The names that an entry uses, of the variables that its matrix and its rows set."""

    __slots__ = ("_keys",)

    def __init__(self, names: Iterable[str]) -> None:
        self._keys = tuple((name, f"{_quoted(name)}:") for name in sorted(names))

    def text(self, variables: Variables) -> str | None:
        """Return those that an item has as a JSON object, sorted by name and in ASCII; None if it has none."""
        if not self._keys:
            return None
        # Written out by hand: nearly all values are texts, and there is one object for each row.
        entries = [
            key + (_quoted(value) if type(value := variables[name]) is str else dumps(value))
            for name, key in self._keys
            if name in variables
        ]
        return f"{{{','.join(entries)}}}" if entries else None
