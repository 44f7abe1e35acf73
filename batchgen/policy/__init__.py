"""Decisions, as pure functions and frozen values: money, retries, polling, when to stop."""
