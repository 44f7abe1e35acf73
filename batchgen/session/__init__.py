"""A run as a session: prepare → plan → confirm → execute → summary, for any program around it.

`prepare` reads and checks a manifest, and its `plan()` says what would be bought. A session (`session`) takes that, the
access to the API (`account`) and a host (`host`: events out, questions, a stop handle), and returns a summary. Nothing
is imported here, so that whatever only looks for a run folder (`locate`) loads no more than that.
"""
