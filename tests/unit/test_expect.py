"""What a manifest may expect: the schema for editors admits what the program takes, and nothing else."""

from typing import Any

import pytest
from jsonschema import Draft7Validator

from batchgen.catalog import load_catalog, manifest_schema
from batchgen.expect import CHECKS, Expect

SCHEMA = Draft7Validator(manifest_schema(load_catalog())["definitions"]["expect"])
VALUES = [0, 1, 2.0, 0.5, 64, 65, 3600, 3600.5, 100_000, 100_001, -1, True, False, "5", [], {}, float("inf")]


def taken(name: str, value: Any) -> bool:
    try:
        CHECKS[name].parse(value)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", CHECKS)
def test_schema_and_program_take_the_same_values(name: str) -> None:
    assert [value for value in VALUES if SCHEMA.is_valid({name: value}) != taken(name, value)] == []
    assert SCHEMA.is_valid({name: None})
    assert not SCHEMA.is_valid({"another": True})


def test_what_is_stored_is_read_back() -> None:
    written = {"min_side": 512.0, "duration": 5, "blank": False, "unlike": 3, "black": None}
    expect = Expect.from_json(written)
    assert expect.to_text() == '{"blank":false,"duration":5.0,"min_side":512,"unlike":3}'
    assert Expect.from_text(str(expect.to_text())) == expect
    assert Expect.from_json({"black": None}).to_text() is None


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(ValueError, match="`sharp` is not a check; `expect` takes min_side, aspect,"):
        Expect.from_json({"sharp": True})
