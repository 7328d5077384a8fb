"""Makes a Python environment for the engine: ``make_venv.py FOLDER TORCH_INDEX|- PACKAGE...``. Runs as a job, anywhere.

A folder that could not be finished is removed again. Needs the standard library only, and the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

MARK = "made-for-mgimplantseg.txt"


def main() -> int:
    """Make the environment; returns 0 when it can be used."""
    folder, index, packages = Path(os.path.expanduser(sys.argv[1])).absolute(), sys.argv[2], sys.argv[3:]
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if folder.exists():
        return _fail(f"Expected a new folder, got {folder}, which already exists.", "Choose another folder.")
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    steps = {
        "making the environment": [sys.executable, "-m", "venv", str(folder)],
        "installing torch": [*pip, *(["--index-url", index] if index != "-" else []), "torch"],
        "installing packages": [*pip, *packages],
    }
    for number, (stage, command) in enumerate(steps.items()):
        _say(event="progress", stage=stage, done=number, total=len(steps), eta_s=None)
        if subprocess.run(command, check=False).returncode:
            shutil.rmtree(folder, ignore_errors=True)
            return _fail(
                f"Expected {stage} to work, got an error; the log shows it.",
                "Check network and disk there, or choose another package index with --torch-index.",
            )
    (folder / MARK).write_text(f"{' '.join(packages)}\n", "utf-8")
    _say(event="result", python=str(python))
    return 0


def _fail(message: str, remedy: str) -> int:
    _say(event="error", kind="dependency", message=message, remedy=remedy)
    return 2


def _say(**fields) -> None:
    with open(os.environ["MGIMPLANTSEG_EVENTS"], "a", encoding="utf-8") as stream:
        stream.write(json.dumps({"version": 1, "time": time.time(), **fields}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
