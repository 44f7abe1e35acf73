"""An object store from outside: its address, the connection to it, and its errors in our words.

Credentials and endpoints come from the environment, as the store's own tools have them (`AWS_*`, `GOOGLE_*`,
`AZURE_*`), and are read by obstore alone. No text of a store or of the library gets into a message: it may hold parts
of a credential.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchgen.core.errors import StoreError, UsageError
from batchgen.core.text import printable
from batchgen.core.version import install_hint

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Config, S3Store

_SCHEMES = ("s3", "gs", "az")
_ADDRESS = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[a-z0-9][a-z0-9._-]{1,62})(?:/(?P<prefix>.*))?", re.DOTALL)
_PART = re.compile(r"[A-Za-z0-9!_.*'() =-]+")
"""A part of a prefix: what every store takes as it is, without a meaning of its own in an address."""
_LONGEST_PREFIX = 512
_RETRY: "RetryConfig" = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
}
_CLIENT: "ClientConfig" = {"connect_timeout": "10s", "timeout": "5min"}
"""A request carries at most one part of an upload: in five minutes also by a line of 2 Mbit/s."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place in an object store: everything below a prefix of a bucket."""

    scheme: str
    bucket: str
    prefix: str = ""
    """Without a slash at either end; empty: the whole bucket."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def below(self, name: str) -> "Address":
        """Return the place `name` within this one."""
        return replace(self, prefix=f"{self.prefix}/{name}" if self.prefix else name)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the place that a text such as `s3://bucket/prefix` names. Raises UsageError."""
        if "@" in text:
            raise UsageError("an object store's address holds no user or password; credentials are read from AWS_*")
        found = _ADDRESS.fullmatch(text)
        if found is None or found["scheme"] not in _SCHEMES:
            forms = ", ".join(f"{scheme}://BUCKET/PREFIX" for scheme in _SCHEMES)
            raise UsageError(f"{printable(text, 200)} is no address of an object store: {forms}")
        parts = [part for part in (found["prefix"] or "").rstrip("/").split("/") if found["prefix"]]
        if any(not _PART.fullmatch(part) or part in (".", "..") for part in parts) or len(text) > _LONGEST_PREFIX:
            raise UsageError(
                f"{printable(text, 200)}: a prefix has parts of letters, digits and -_.=!*'() between single slashes"
            )
        return cls(found["scheme"], found["bucket"], "/".join(parts))


def is_address(text: str) -> bool:
    """Return whether a text is meant as an address, and not as a path."""
    return "://" in text


def connect(address: Address) -> "S3Store | GCSStore | AzureStore":
    """Return a connection to the place; names in it are relative to its prefix. Nothing is requested yet.

    Raises UsageError where the extra `s3` is not installed, or what the environment says cannot be used.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise UsageError(f"{address} needs the extra s3: {install_hint('s3')}") from error
    client: ClientConfig = {**_CLIENT, "allow_http": True} if _may_use_http() else _CLIENT
    prefix = address.prefix or None
    try:
        if address.scheme == "gs":
            return GCSStore(address.bucket, prefix=prefix, client_options=client, retry_config=_RETRY)
        if address.scheme == "az":
            return AzureStore(address.bucket, prefix=prefix, client_options=client, retry_config=_RETRY)
        # A conditional copy as Amazon S3 has it. It keeps the metadata, which obstore's way by multipart does not.
        config: S3Config = {"disable_bulk_delete": True}
        if not os.environ.get("AWS_COPY_IF_NOT_EXISTS"):
            config["copy_if_not_exists"] = "header:if-none-match:*"
        return S3Store(address.bucket, prefix=prefix, config=config, client_options=client, retry_config=_RETRY)
    except (BaseError, ValueError) as error:
        variables = {"gs": "GOOGLE_*", "az": "AZURE_*"}.get(address.scheme, "AWS_*")
        account = "; set AZURE_STORAGE_ACCOUNT_NAME" if "Account must be" in str(error) else ""
        raise UsageError(f"{address} cannot be used with what the variables {variables} say{account}") from None


def _may_use_http() -> bool:
    """Whether requests may go unencrypted: to this machine, or where that is asked for."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    return allowed or urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")


@contextmanager
def store_errors(place: str) -> Iterator[None]:
    """Translate the errors of requests about `place`, which messages name, into StoreError.

    What a caller decides by passes through: FileNotFoundError for an object that is not there, and obstore's
    AlreadyExistsError and PreconditionError.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except FileNotFoundError as error:
        if _NO_BUCKET.search(str(error)):
            raise StoreError(f"{place}: there is no such bucket: make it, or check the address") from None
        raise
    except BaseError as error:
        # Without its cause: the library's text may hold an address with a token in it.
        raise StoreError(f"{place}: {_reason(str(error))}") from None


_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_STATUS = re.compile(r"\bstatus(?: code)?: ([1-5][0-9]{2})\b")
_METADATA = re.compile(
    r"169\.254\.|metadata\.google|fd00:ec2|InstanceMetadata|MissingCredential|token request", re.IGNORECASE
)


def _reason(text: str) -> str:
    """Return what an error of the library comes to, and what to do."""
    if _METADATA.search(text):
        return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your store needs"
    status, code = _STATUS.search(text), _CODE.search(text)
    told = " ".join(found[1] for found in (status, code) if found)
    if status and status[1] in ("401", "403"):
        return f"the store refuses access ({told}): check the credentials, and what they may read and write there"
    if status and status[1] == "404":
        return f"the store does not know it ({told})"
    if status:
        return f"the store answered {told}"
    if "BadScheme" in text:
        return "the endpoint is plain http, which would be read by others: use https, or set AWS_ALLOW_HTTP=true"
    if "timed out" in text.lower() or "TimedOut" in text or "kind: Timeout" in text:
        return "the store did not answer in time"
    return "the store cannot be reached: check AWS_ENDPOINT_URL and the network"
