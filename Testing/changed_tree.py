"""For tests that add a part to a copy of the project: change its files, and see which ones were changed."""

from __future__ import annotations

import filecmp
from pathlib import Path


def replace(path: Path, old: str, new: str) -> None:
    """Change a text of which there is exactly one."""
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path}: {old}"
    path.write_text(text.replace(old, new), "utf-8")


def changes(before: Path, after: Path) -> set[str]:
    """Files and folders that are new or other than before."""
    found, pairs = set(), [filecmp.dircmp(before, after, ignore=["__pycache__"])]
    for pair in pairs:
        pairs.extend(pair.subdirs.values())
        found |= {Path(pair.right, name).relative_to(after).as_posix() for name in (*pair.right_only, *pair.diff_files)}
    return found
