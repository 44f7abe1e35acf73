"""Judges what was delivered, beside the downloads."""
