"""Explains in plain words why the YAML parser refuses a text."""

from pathlib import Path
from typing import Any

import yaml

from batchgen.core.text import printable
from batchgen.manifest.yaml.nodes import TOO_DEEP
from batchgen.manifest.yaml.problems import Mark, lines_of

_NEVER_CLOSED = ("found unexpected end of stream", "found unexpected document indicator")
_UNCLOSED = (
    "`{what}` is not closed, or a comma is missing; a value with `${{name}}`, `: ` or a comma in it needs quotes here"
)
_IN_PLAIN_WORDS = {
    "mapping values are not allowed": "`: ` is not allowed here: put the value in quotes, or fix the indentation",
    "block sequence entries are not allowed": "a list entry `- ` is not allowed here: begin it on a line of its own",
    "did not find expected ',' or ']'": _UNCLOSED.format(what="["),
    "expected ',' or ']'": _UNCLOSED.format(what="["),
    "did not find expected ',' or '}'": _UNCLOSED.format(what="{"),
    "expected ',' or '}'": _UNCLOSED.format(what="{"),
    "did not find expected key": "the indentation does not match the lines above",
    "did not find expected '-' indicator": "the indentation does not match the list above",
    "expected <block end>": "the indentation does not match the lines above",
    "could not find expected ':'": "a key without `:`, or text that continues where a key should begin",
    "found invalid Unicode character escape code": "half of a surrogate pair; write both halves, as in \\ud83c\\udfa8",
    "found unknown escape character": "an escape that YAML does not know; in double quotes a backslash is written \\\\",
    "did not find expected hexdecimal number": "an escape without its hexadecimal digits",
    "found a tab character": "tabs cannot be used for indentation; use spaces",
    "exceeded maximum nesting depth": TOO_DEEP,  # libyaml has its own limit since 0.2.6, at a thousand
    "found undefined tag handle": "a tag that YAML does not know; remove it",
}
_GOES_ON = ("expected key", "<block end>, but found '<scalar>'", "',' or ']'", "',' or '}'")
_BEHIND_A_QUOTE = (
    'the text ends at the quote before this; within double quotes write \\" for a quote, within single ones two of them'
)
_OR_A_COMMA = ", or add the comma that is missing"
_NO_START = {
    "\t": "tabs cannot be used for indentation; use spaces",
    "@": "text cannot begin with `@`; put it in quotes",
    "`": "text cannot begin with a backtick; put it in quotes",
    "%": "text cannot begin with `%`; put it in quotes",
}


def explained(error: yaml.MarkedYAMLError, path: Path) -> tuple[Mark | None, str]:
    """Return the place and meaning of a syntax error in plain words, or in the parser's own if there are no better."""
    problem = error.problem or "this is not valid YAML"
    mark: Any = error.problem_mark or error.context_mark
    if "quoted scalar" in (error.context or "") and problem in _NEVER_CLOSED:
        return error.context_mark, "the quote that opens here is never closed"
    if mark is not None:
        line = dict(lines_of(path, {mark.line + 1})).get(mark.line + 1, "")
        start = line[mark.column : mark.column + 1]
        if "cannot start any token" in problem and start in _NO_START:
            return mark, _NO_START[start]
        if line[: mark.column].rstrip().endswith(('"', "'")) and any(words in problem for words in _GOES_ON):
            return mark, _BEHIND_A_QUOTE + (_OR_A_COMMA if "','" in problem else "")
    for words, meaning in _IN_PLAIN_WORDS.items():
        if words in problem:
            return mark, meaning
    return mark, f"this cannot be read as YAML: {printable(problem, 200)}"
