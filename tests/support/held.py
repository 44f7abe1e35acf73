"""Runs whose POSTs are held open, so that what happens meanwhile meets requests under way."""

# With `submit: wait` each POST stays open for one second.
HELD = ("--wait-budget", 30, "--speed", 30, "--media", "tiny")
ITEMS, AT_ONCE = 6, 3
