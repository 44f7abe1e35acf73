"""Redoing what people rejected or checks flagged: a manifest that buys it once more, with new seeds."""

from batchgen.redo.manifest import Redo, choose, write_manifest

__all__ = ["Redo", "choose", "write_manifest"]
