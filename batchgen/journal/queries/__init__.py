"""Queries on a journal, for readers while a run may be writing it."""
