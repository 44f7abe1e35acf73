"""Reads `expect`: what is checked of the files that are delivered, for one entry of `items` or in `defaults`."""

from collections.abc import Mapping
from typing import Any

from batchgen.catalog import nearest
from batchgen.core.text import printable
from batchgen.expect import CHECKS, Expect
from batchgen.manifest.template import has_variables
from batchgen.manifest.yaml.nodes import Map
from batchgen.manifest.yaml.problems import Mark, Problems

EXPECT = "expect"


def read_checks(value: Any, mark: Mark, problems: Problems) -> dict[str, Any]:
    """Return the checks that an `expect` sets, None for those that it turns off; anything wrong is noted."""
    checks: dict[str, Any] = {}
    if not isinstance(value, Map):
        problems.at(mark, "`expect` must be a map of checks, as in {min_side: 1024, blank: false}")
        return checks
    for name, given in value.items():
        check = CHECKS.get(name)
        if check is None:
            near = nearest(name, CHECKS)
            hint = f"did you mean `{near}`?" if near else f"`expect` takes {', '.join(CHECKS)}"
            problems.at(value.key_mark(name), f"`{printable(name, 60)}` is not a check; {hint}")
            continue
        try:
            checks[name] = None if given is None else check.parse(given)
        except ValueError as error:
            hint = "; variables are not replaced here" if has_variables(given) else ""
            problems.at(value.value_mark(name), f"`expect.{name}` {error}{hint}")
    return checks


def expect_text(*layers: Mapping[str, Any]) -> str | None:
    """Return the checks of several layers as they are stored; the last layer that sets or turns off a check counts.

    None if no check is left.
    """
    merged = {name: value for layer in layers for name, value in layer.items()}
    return Expect.from_json(merged).to_text()
