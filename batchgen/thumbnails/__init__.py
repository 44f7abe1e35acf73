"""Thumbnails of the files of a run folder: where they are, and who makes them (a process of its own)."""

from batchgen.thumbnails.every import Thumbnails, make_thumbnails
from batchgen.thumbnails.place import THUMBNAILS, is_there, thumbnail_name, thumbnail_path
from batchgen.thumbnails.thumbnailer import Thumbnailer

__all__ = ["THUMBNAILS", "Thumbnailer", "Thumbnails", "is_there", "make_thumbnails", "thumbnail_name", "thumbnail_path"]
