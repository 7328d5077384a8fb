"""What the engine says to people: the panel has fields where the command line has flags, so messages name options."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import MgImplantSegLib

ENGINE = Path(MgImplantSegLib.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z]")
SAYING = ("warning", "info")


def texts_to_people(source: str) -> list[str]:
    """All texts in what is raised, handed to an error or told by a log or events."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = [getattr(call.func, "id", getattr(call.func, "attr", "")) for call in calls]
    told = [call for call, name in zip(calls, names, strict=True) if name.endswith("Error") or name in SAYING]
    inside = (part for call in told for part in ast.walk(call) if isinstance(part, ast.Constant))
    return [part.value for part in inside if isinstance(part.value, str)]


def test_a_flag_in_an_error_or_a_warning_is_found():
    source = 'raise InputError(f"Expected {x}.", "Give --roles.")\nlogger.warning("see --x")\nrun("--y")'
    assert [text for text in texts_to_people(source) if FLAG.search(text)] == ["Give --roles.", "see --x"]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(ENGINE.rglob("*.py")) if path.relative_to(ENGINE).parts[0] not in ("cli", "jobs")],
    ids=lambda path: path.relative_to(ENGINE).as_posix(),
)
def test_no_message_outside_the_command_line_names_a_flag(path):
    assert [text for text in texts_to_people(path.read_text("utf-8")) if FLAG.search(text)] == []
