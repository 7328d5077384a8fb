"""Several files that appear in a folder together, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from MgImplantSegLib.base.files import output_errors, require_file_place
from MgImplantSegLib.base.leftovers import remove_leftovers, temporary_name


@contextmanager
def staged_files(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`; when the block ends well, its files move up and replace namesakes.

    Other files of `folder` are left alone. Raises OutputError if the folder cannot be made or written to, or there is a
    folder in the place of a file; InputError if a file would replace an input of the command.
    """
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        staging = folder / temporary_name()
        staging.mkdir()
        try:
            yield staging
            finished = sorted(staging.iterdir())
            for path in finished:
                require_file_place(folder / path.name)
            for path in finished:
                os.replace(path, folder / path.name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
