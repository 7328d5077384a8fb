"""Runs a module or a script so that it ends with its parent: ``leash.py -m MODULE ...`` or ``leash.py SCRIPT ...``.

Workers started by torchrun have sessions of their own; without this they continue when torchrun is killed.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Tie this process to its parent, then become the command."""
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    from MgImplantSegLib.jobs.agent.processes import tie_to_parent

    parent = os.getppid()
    tie_to_parent()
    if os.getppid() != parent:
        sys.exit(1)
    words = sys.argv[1:]
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
