"""Compares journal and receipts whenever a run folder is opened, and rebuilds one from the other."""
