"""Several files that appear in a folder together, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from MgImplantSegLib.files import TEMPORARY_PREFIX, output_errors


@contextmanager
def staged_files(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`; when the block ends well, its files move up and replace namesakes.

    Other files of `folder` are left alone.

    Raises
    ------
    OutputError
        If the folder cannot be made or written to.
    """
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as staging:
            yield Path(staging)
            for path in sorted(Path(staging).iterdir()):
                os.replace(path, folder / path.name)
