"""An S3 server on loopback, for tests of what lies in object storage; it keeps its objects in memory."""

import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection
from unittest.mock import patch
from urllib.parse import urlsplit

from moto.server import ThreadedMotoServer

from batchgen.store.remote import Address

SECRET = f"moto-{'0123456789' * 3}"
_NUMBERS = itertools.count()


@cache
def endpoint() -> str:
    """Start the server, once for all tests of this process, and return where it listens."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def credentials(address: str | None = None) -> dict[str, str]:
    """The variables with which the server is reached."""
    return {
        "AWS_ENDPOINT_URL": address or endpoint(),
        "AWS_ACCESS_KEY_ID": "moto-key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


def new_bucket() -> Address:
    """Make a bucket that nothing lies in."""
    name = f"bucket-{next(_NUMBERS)}"
    connection = HTTPConnection(urlsplit(endpoint()).netloc)
    connection.request("PUT", f"/{name}")
    assert connection.getresponse().status == 200
    connection.close()
    return Address("s3", name)


@contextmanager
def bucket(address: str | None = None) -> Iterator[Address]:
    """Make a bucket, and have this process reach it while the block runs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_"))}
    with patch.dict(os.environ, kept | credentials(address), clear=True):
        yield new_bucket()
