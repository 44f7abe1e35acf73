"""Where notifications may go, and what is shown of it."""

import pytest

from batchgen.core.errors import UsageError
from batchgen.notifications.addresses import parse_address


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("https://hc.example/8a6c", "/8a6c/start"),
        ("https://hc.example/8a6c/", "/8a6c/start"),
        ("https://hc.example", "/start"),
        ("https://hc.example/ping/spring?create=1&rid=7", "/ping/spring/start?create=1&rid=7"),
        ("https://hc.example/a%2Fb/?x=%20", "/a%2Fb/start?x=%20"),
    ],
)
def test_a_word_is_the_last_part_of_the_path(text: str, started: str) -> None:
    assert parse_address(text, "--ping").target("start") == started


@pytest.mark.parametrize("path", ["/services/T0/B0/x", "/hook/", "/"])
def test_without_a_word_the_address_stays_as_it_is(path: str) -> None:
    assert parse_address(f"https://hooks.example{path}?a=b", "--notify").target() == f"{path}?a=b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://hooks.example/S3CRET?token=S3CRET", "https://hooks.example"),
        ("https://hooks.example:8443/S3CRET", "https://hooks.example:8443"),
        ("http://127.0.0.1:8000/S3CRET", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/S3CRET", "http://[::1]:8000"),
        ("http://localhost/S3CRET", "http://localhost"),
    ],
)
def test_neither_path_nor_query_is_ever_shown(text: str, shown: str) -> None:
    address = parse_address(text, "--notify")
    assert address.shown == shown
    assert "S3CRET" not in repr(address)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://hooks.example/S3CRET", "must begin with https://"),
        ("http://192.168.1.5/S3CRET", "must begin with https://"),
        ("ftp://hooks.example/S3CRET", "must begin with https://|expected the address"),
        ("file:///S3CRET", "expected the address"),
        ("S3CRET", "expected the address"),
        ("", "expected the address"),
        ("https:///S3CRET", "expected the address"),
        ("https://hooks.example:99999/S3CRET", "expected the address"),
        ("https://hooks.example/sec ret", "expected the address"),
        ("https://hooks.example/S3CRET\r\nX: y", "expected the address"),
        ("https://hooks..example/S3CRET", "expected the address"),
        ("https://user:S3CRET@hooks.example/", "must not contain a user name"),
        ("https://hooks.example/#S3CRET", "must not contain"),
    ],
)
def test_other_addresses_are_refused_without_being_repeated(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=rf"--notify: .*({message})") as refused:
        parse_address(text, "--notify")
    assert "S3CRET" not in str(refused.value)
