"""The command line: `main`, and one file a command with NAME, HELP, `add_arguments`, `run` and, maybe, `report`."""

from MgImplantSegLib.cli.application import main

__all__ = ["main"]
