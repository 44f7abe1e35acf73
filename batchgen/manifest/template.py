"""Texts with variables in them: `${name}` is replaced, `$${name}` means a literal `${name}`, any other `$` is itself.

Inserted values are not scanned again.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from batchgen.core.text import printable
from batchgen.manifest.yaml.scalars import text_of

Variables = Mapping[str, Any]

_VARIABLE = re.compile(r"\$(?P<escaped>\$\{[^{}]*\})|\$\{(?P<name>[^{}]*)\}")


_DOUBLE_BRACES = re.compile(r"\$?\{\{\s*([^\W\d][^{}]*?)\s*\}\}")
_OTHER_FORMS = re.compile(r"(?<!\$)\{\s*([^{}]+?)\s*\}|\$([^\W\d]\w*)")
_UNCLOSED = re.compile(r"(?<!\$)\$\{[^{}\s]*")


class FillError(Exception):
    """A variable's value cannot be used where it is needed; the text says why."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: literal, variable, literal, …; it begins and ends with a literal."""

    parts: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The variables, in order."""
        return self.parts[1::2]

    @property
    def single(self) -> str | None:
        """The variable, if the text consists of exactly one variable; otherwise None."""
        return self.parts[1] if len(self.parts) == 3 and not self.parts[0] and not self.parts[2] else None

    def fill(self, variables: Variables, fitted: Callable[[str], str] | None = None, what: str = "a text") -> str:
        """Return the text with every variable replaced, each passed through `fitted` if given; errors call it `what`.

        Raises FillError for a list or a map and if `fitted` leaves nothing, KeyError for a variable without a value.
        """
        filled = list(self.parts)
        for n in range(1, len(filled), 2):
            name = filled[n]
            try:
                text = text_of(variables[name])
            except TypeError as error:
                raise FillError(f"`${{{name}}}` is {error}, which cannot be used inside text") from error
            filled[n] = text if fitted is None else fitted(text)
            if fitted is not None and not filled[n]:
                reason = f"leaves no character here that is allowed in {what}"
                if not text or text.isspace():
                    reason = f"is empty here; {what} needs a letter or a digit"
                raise FillError(f"`${{{name}}}` {reason}")
        return "".join(filled)


def parse_template(text: str) -> Template:
    """Return `text` parsed."""
    parts = [""]
    end = 0
    for found in _VARIABLE.finditer(text):
        parts[-1] += text[end : found.start()]
        end = found.end()
        if found["escaped"] is not None:
            parts[-1] += found["escaped"]
        else:
            parts += [composed(found["name"].strip()), ""]
    parts[-1] += text[end:]
    return Template(tuple(parts))


def composed(name: str) -> str:
    """Return the name of a variable in the form in which names are compared (NFC): `é` may be one character or two."""
    return name if name.isascii() else normalize("NFC", name)


def suspicion(text: str, known: Collection[str]) -> str | None:
    """Return why a text looks as if a variable was intended where there is none; None if it does not.

    `known` are the existing variables: for these, the forms of other tools (`{name}`, `$name`) are recognised as well.
    """
    if "{" not in text and "$" not in text:
        return None
    rest = _VARIABLE.sub("", text)
    if (found := _DOUBLE_BRACES.search(rest)) is not None:
        return _meant(found[0], found[1])
    for found in _OTHER_FORMS.finditer(rest):
        name = found[1] or found[2]
        if name in known:
            return _meant(found[0], name)
    if (found := _UNCLOSED.search(rest)) is not None:
        start = printable(found[0], 60)
        return f"`{start}` is sent unchanged: a variable's brace closes after its name, as in `${{name}}`"
    return None


def _meant(written: str, name: str) -> str:
    return f"`{printable(written, 60)}` is sent unchanged; a variable is written `${{{printable(name, 60)}}}`"


def may_have_variables(value: Any) -> bool:
    """Return whether a value contains a variable, or something that may be intended as one."""
    return has_variables(value) or (type(value) is str and "{{" in value)


def has_variables(value: Any) -> bool:
    """Return whether a value, or an entry of a list, may contain a variable or an escaped one."""
    if type(value) is str:
        return "${" in value
    return isinstance(value, list) and any(map(has_variables, value))


def names_in(value: Any) -> set[str]:
    """Return the variables that a value names; for a list, those of its entries."""
    if type(value) is str:
        return set(parse_template(value).names) if "${" in value else set()
    return set().union(*map(names_in, value)) if isinstance(value, list) else set()
