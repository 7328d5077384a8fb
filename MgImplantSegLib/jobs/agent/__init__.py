"""The far side of the launcher: job folders, schedulers and the file store of one machine.

Needs the standard library only. It runs inside the calling process for this machine, and is sent through OpenSSH's
client to another one, where nothing has to be installed but Python.
"""
