"""Measurements beside the alternatives: `make bench` prints them as one table.

Every figure is a ratio within one run on one machine. CPU is user and system time of the process under test, so that
others on the machine disturb it little.
"""
