"""Judging the files of a run folder."""
