"""The foundation: records, errors, time, text, digests, files."""
