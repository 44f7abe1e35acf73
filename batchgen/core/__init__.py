"""What everything stands on: records, errors, time, text, digests, files."""
