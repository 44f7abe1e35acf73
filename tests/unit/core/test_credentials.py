"""The key: found where it may be, and shown nowhere."""

import copy
import json
import logging
import pickle
import traceback
from pathlib import Path

import pytest

from batchgen.core.credentials import VARIABLE, ApiKey, find_key
from batchgen.core.errors import UsageError

KEY = "api18_abcDEF0123456789"
OTHER = "api18_ZZZZZZZZZZZZZZZZ"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of the test's own."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    return folder


# ---- where it is found ---------------------------------------------------------------------------------------------


def test_a_named_file_then_the_environment_then_dotenv_beside_the_manifest_then_here(
    manifests: Path, elsewhere: Path
) -> None:
    named, variable, beside, here = (f"api18_{letter * 16}" for letter in "nvbh")
    file = manifests / "key.txt"
    file.write_text(f"  {named}\n")
    (manifests / ".env").write_text(f"{VARIABLE}={beside}")
    (elsewhere / ".env").write_text(f"{VARIABLE}={here}")
    environment = {VARIABLE: f" {variable} "}
    assert find_key(manifests, file, environment).reveal() == named
    assert find_key(manifests, None, environment).reveal() == variable
    assert find_key(manifests, None, {VARIABLE: ""}).reveal() == beside
    assert find_key(None, None, {}).reveal() == here
    (manifests / ".env").write_text("OTHER=1\n")
    assert find_key(manifests, None, {}).reveal() == here


@pytest.mark.parametrize(
    "text",
    [
        f"{VARIABLE}={KEY}",
        f"{VARIABLE}={KEY}\r\nOTHER=x\r\n",
        f"\ufeff{VARIABLE}={KEY}\n",
        f"  export {VARIABLE} = {KEY}  \n",
        f'{VARIABLE}="{KEY}"',
        f"{VARIABLE}='{KEY}'\n",
        f"{VARIABLE}={KEY} # the studio's account",
        f'{VARIABLE}="{KEY}"\t# the studio\'s account',
        f"# {VARIABLE}={OTHER}\n{VARIABLE}={KEY}\n#{VARIABLE}={OTHER}\n",
        f"{VARIABLE}={OTHER}\n{VARIABLE}={KEY}\n",
        f"MY_{VARIABLE}={OTHER}\n{VARIABLE}_OLD={OTHER}\n{VARIABLE}={KEY}",
    ],
)
def test_forms_of_dotenv(manifests: Path, text: str) -> None:
    (manifests / ".env").write_bytes(text.encode())
    assert find_key(manifests, None, {}).reveal() == KEY


@pytest.mark.parametrize(
    "text", ["", "OTHER=1", f"{VARIABLE}=", f'{VARIABLE}=""', f"# {VARIABLE}={KEY}", f"{VARIABLE} {KEY}"]
)
def test_without_a_key_it_says_where_one_may_stand(manifests: Path, text: str) -> None:
    (manifests / ".env").write_text(text)
    with pytest.raises(UsageError, match=f"no API key: set {VARIABLE}.*--api-key-file.*--simulate"):
        find_key(manifests, None, {})


def test_a_folder_called_dotenv_is_no_fault(manifests: Path) -> None:
    (manifests / ".env").mkdir()
    with pytest.raises(UsageError, match="no API key"):
        find_key(manifests, None, {})


def test_nothing_else_is_taken_from_dotenv(manifests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    (manifests / ".env").write_text(f"BATCHGEN_MAX_COST=9\n{VARIABLE}={KEY}\n")
    find_key(manifests, None, environment)
    assert environment == {}


# ---- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["api18_short", KEY + "x", KEY.upper(), "sk-" + KEY, f"{KEY}\n{KEY}", KEY[:-1] + "é", f"{KEY[:10]} {KEY[10:]}"],
)
def test_what_has_not_the_form_of_a_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key.txt"
    file.write_text(text, encoding="utf-8")
    places: list[tuple[str, Path | None, dict[str, str]]] = [(VARIABLE, None, {VARIABLE: text}), (str(file), file, {})]
    for where, key_file, environment in places:
        with pytest.raises(UsageError, match="holds no valid API key") as caught:
            find_key(None, key_file, environment)
        assert where in str(caught.value)
        shown = "".join(traceback.format_exception(caught.value))
        assert text not in shown
        assert KEY[6:] not in shown


def test_a_named_file_that_cannot_be_read_is_a_fault_even_where_another_key_is_at_hand(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe" + KEY.encode())
    for file, reason in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory"), (binary, "not UTF-8")):
        with pytest.raises(UsageError, match=f"cannot read the key from {file}: {reason}") as caught:
            find_key(None, file, {VARIABLE: KEY})
        assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_dotenv_that_is_not_text_is_named(manifests: Path) -> None:
    (manifests / ".env").write_bytes(b"\xff" + KEY.encode())
    with pytest.raises(UsageError, match=r"cannot read .*\.env: not UTF-8"):
        find_key(manifests, None, {})


# ---- shown nowhere -------------------------------------------------------------------------------------------------


def test_a_key_prints_as_stars(caplog: pytest.LogCaptureFixture) -> None:
    key = ApiKey(KEY)
    logging.getLogger("batchgen").warning("the key is %s, %r", key, key)
    shown = [
        repr(key), str(key), f"{key}", f"{key!r:>40}", f"{key!s}", format(key), repr([key]), repr({"k": key}),
        caplog.text, ascii(key),
    ]  # fmt: skip
    for text in shown:
        assert "***" in text
        assert KEY[6:] not in text


def test_a_key_is_not_copied_or_written() -> None:
    key = ApiKey(KEY)
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            copying(key)
        assert KEY not in str(caught.value)
    with pytest.raises(TypeError) as caught:
        json.dumps(key)
    assert KEY not in str(caught.value)
    assert not hasattr(key, "__dict__")


def test_a_traceback_through_frames_that_hold_a_key_does_not_show_it() -> None:
    def fail(key: ApiKey) -> None:
        raise RuntimeError(f"no answer with {key}")

    with pytest.raises(RuntimeError) as caught:
        fail(ApiKey(KEY))
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "***" in shown
    assert KEY not in shown


def test_the_fingerprint_tells_accounts_apart_and_gives_nothing_away() -> None:
    mark = ApiKey(KEY).fingerprint
    assert mark == ApiKey(KEY).fingerprint == "6c976ce82a58"
    assert mark != ApiKey(OTHER).fingerprint
    assert len(mark) == 12
    assert set(mark) <= set("0123456789abcdef")
