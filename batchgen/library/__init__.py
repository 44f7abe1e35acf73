"""batchgen from Python: load a manifest, see its plan, run it, read what it made.

`import batchgen` offers all of it. The commands `run` and `plan` are built on `preparing` and `runs` too. Nothing here
prints, touches signals, or asks: where the command would ask, `ConsentNeeded` is raised. Nothing is imported here, so
that whatever only plans loads no HTTP client.
"""
