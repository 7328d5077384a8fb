"""The one shell script of an array: the user's own set-up lines, then the runner of the task's own job folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from MgImplantSegLib.jobs.agent.start_script import HEAD

TAIL = """cd "$3-$SLURM_ARRAY_TASK_ID" && exec "$1" "$2" "$3-$SLURM_ARRAY_TASK_ID"
"""


def write_array_script(path: Path, lines: Sequence[str]) -> Path:
    """Write the script; its words are Python, the runner, and the path of the job folders without dash and number."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines) + TAIL, "utf-8")
    path.chmod(0o700)
    return path
