"""The page of a run, live in a browser: a server on this machine that reads the journal and takes picks."""

from batchgen.viewer.access import is_loopback
from batchgen.viewer.server import Viewer

__all__ = ["Viewer", "is_loopback"]
