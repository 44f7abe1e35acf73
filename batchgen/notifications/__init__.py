"""Telling others how a run stands: a ping, a webhook, a command at the end.

What leaves this machine holds figures and fixed words only: no prompt, no item id (which may be made of a prompt), no
path, no message of a server, and never the key.
"""
