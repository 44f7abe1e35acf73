"""The address of a place in an object store, the connection to it, and what is said of its errors."""

import os
from datetime import timedelta
from unittest.mock import patch

import obstore
import pytest
from support.storage.objects import SECRET, bucket

from batchgen.core.errors import StoreError, UsageError
from batchgen.store import remote
from batchgen.store.remote import Address, connect, store_errors

QUICK = {
    "max_retries": 1,
    "retry_timeout": timedelta(seconds=2),
    "backoff": {"init_backoff": timedelta(milliseconds=10)},
}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://films", Address("s3", "films")),
        ("s3://films/", Address("s3", "films")),
        ("gs://films/2026/spring", Address("gs", "films", "2026/spring")),
        ("az://films/2026/", Address("az", "films", "2026")),
    ],
)
def test_an_address_is_a_store_a_bucket_and_a_prefix(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text.rstrip("/")
    assert str(address.below("mug")) == f"{text.rstrip('/')}/mug"


@pytest.mark.parametrize(
    "text",
    [
        "s3:/films", "s3://", "s3:///x", "s3://F", "ftp://films/x", "S3://films", "s3://films//x", "s3://films/../x",
        "s3://films/a/./b", "s3://films/a?b", "s3://films/a#b", "s3://films/a%2fb", "s3://films/a\nb",
        f"s3://films/{'x' * 600}",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no address|a prefix has parts"):
        Address.parse(text)


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="holds no user or password") as refused:
        Address.parse("s3://user:hush@films/x")
    assert "hush" not in str(refused.value)


def test_names_are_relative_to_the_prefix() -> None:
    with bucket() as place:
        obstore.put(connect(place.below("a/b")), "mug.png", b"mug")
        assert bytes(obstore.get(connect(place), "a/b/mug.png").bytes()) == b"mug"


def test_a_bucket_that_is_not_there_is_told_apart_from_one_that_refuses() -> None:
    with bucket() as place, pytest.raises(StoreError, match="no such bucket"), store_errors("x"):
        obstore.put(connect(Address("s3", f"{place.bucket}-none")), "mug.png", b"mug")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("status code: 403 Forbidden: <Code>SignatureDoesNotMatch</Code><StringToSign>hush",
         "refuses access (403 SignatureDoesNotMatch)"),
        ("Server returned non-2xx status code: 401 Unauthorized: hush", "refuses access (401)"),
        ("inner: Status { status: 503, body: Some(<Code>SlowDown</Code>hush)", "the store answered 503 SlowDown"),
        ("Error performing PUT http://169.254.169.254/latest/api/token hush", "no credentials were found"),
        ("HTTP error: builder error BadScheme hush", "plain http"),
        ("kind: Timeout, hush", "did not answer in time"),
        ("tcp connect error hush", "cannot be reached"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do_and_nothing_that_the_store_said(text: str, told: str) -> None:
    with pytest.raises(StoreError) as raised, store_errors("s3://films/x"):
        raise obstore.exceptions.GenericError(text)
    assert told in str(raised.value)
    assert str(raised.value).startswith("s3://films/x: ")
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_store_that_cannot_be_reached_is_given_up_in_time() -> None:
    with (
        bucket("http://127.0.0.1:9") as place, patch.object(remote, "_RETRY", QUICK),
        pytest.raises(StoreError, match="cannot be reached: check AWS_ENDPOINT_URL") as raised, store_errors("x"),
    ):  # fmt: skip
        obstore.head(connect(place), "mug.png")
    assert SECRET not in str(raised.value)


def test_plain_http_is_for_this_machine_unless_it_is_asked_for() -> None:
    def asked() -> str:
        with pytest.raises(StoreError) as raised, store_errors("x"):
            obstore.head(connect(Address("s3", "films")), "mug.png")
        return str(raised.value)

    with bucket("http://store.invalid:9"), patch.object(remote, "_RETRY", QUICK):
        assert "plain http" in asked()
        os.environ["AWS_ALLOW_HTTP"] = "true"
        assert "cannot be reached" in asked()


def test_each_kind_of_store_gets_its_bucket_and_prefix() -> None:
    variables = {"AZURE_STORAGE_ACCOUNT_NAME": "studio", "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0"}
    with patch.dict(os.environ, variables):
        google, azure = (connect(Address(scheme, "films", "2026/spring")) for scheme in ("gs", "az"))
    assert (repr(google), google.prefix) == ('GCSStore(bucket="films", prefix="2026/spring")', "2026/spring")
    assert (azure.config["container_name"], azure.prefix) == ("films", "2026/spring")


def test_what_the_environment_lacks_is_told() -> None:
    with patch.dict(os.environ):
        os.environ.pop("AZURE_STORAGE_ACCOUNT_NAME", None)
        with pytest.raises(UsageError, match="set AZURE_STORAGE_ACCOUNT_NAME"):
            connect(Address("az", "films"))


def test_the_extra_is_asked_for() -> None:
    with patch.dict("sys.modules", {"obstore.store": None}), pytest.raises(UsageError, match=r"api18\[s3\]"):
        connect(Address("s3", "films"))
