"""Programs of a machine, asked without a shell and without what Slicer's launcher has set; answers in one line."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

LONGEST_SHOWN = 300
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
SLICER_SAVED, SLICER_LEVEL = "APPLAUNCHER_0_", "APPLAUNCHER_LEVEL"


def run_program(words: Sequence[str], seconds: float, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    """A program that has ended, with its output and errors as text.

    Raises FileNotFoundError if there is no such program, subprocess.TimeoutExpired if it takes longer than `seconds`;
    it is ended then.
    """
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        cwd=cwd,
        env=clean_variables(os.environ),
        stdin=subprocess.DEVNULL,
        check=False,
    )


def output(words: Sequence[str], seconds: float) -> str:
    """What a program prints; an empty text if it cannot be run or takes too long."""
    try:
        return run_program(words, seconds).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def tail(text: str) -> str:
    """The end of what a program printed, in one line, without control characters."""
    words = " ".join(CONTROL.sub(" ", text).split())
    return words if len(words) <= LONGEST_SHOWN else "…" + words[-LONGEST_SHOWN:].lstrip()


def clean_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables as they were before 3D Slicer's launcher added its own."""
    if SLICER_LEVEL not in variables:
        return dict(variables)
    saved = {name[len(SLICER_SAVED) :]: value for name, value in variables.items() if name.startswith(SLICER_SAVED)}
    return saved or dict(variables)
