"""Looks through an HDF5 file in a process of its own, which a damaged file may end: FILE.

Does what the reading does later, with the same functions: finds the files that belong to it, follows all links, reads
attributes, axes, sources and indices of chunks, and of every volume the voxels: all of them up to `MOST_BYTES` a file
with its companions, of what is larger the first and the last. So a chunk that is damaged in such a way that it ends the
HDF5 library, in the middle of a large compressed volume, is the one thing that is not found; the usual filters check
what they unpack. Errors are left to the process that reads: only the end of this one counts.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MEMORY_BYTES = 6 << 30
MOST_BYTES = 256 << 20
MOST_VALUES_OF_TABLES = 1 << 16
PACKAGE = "MgImplantSegLib.io"


class Looker:
    """Looks through files one after the other, with a number of bytes that may be read as a whole."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._left = most_bytes

    def look_through(self, path: Path) -> None:
        """Do with one file what reading any of its volumes does."""
        from MgImplantSegLib.io.hdf5_door import opened
        from MgImplantSegLib.io.hdf5_search import contents_of

        with suppress(Exception), opened(path) as file:
            contents = contents_of(file)
            for found in contents.datasets:
                self._try(found, path)

    def _try(self, found: Any, path: Path) -> None:
        from MgImplantSegLib.io.hdf5_projections import why_projections
        from MgImplantSegLib.io.hdf5_search import is_real
        from MgImplantSegLib.io.hdf5_spacing import hdf5_spacing_zyx_mm
        from MgImplantSegLib.io.hdf5_storage import require_whole
        from MgImplantSegLib.io.hdf5_voxels import filters_missing_for, lies_as

        dataset = found.dataset
        _without_errors(str, found)
        _without_errors(lambda: why_projections(dataset, found.groups))
        _without_errors(lambda: hdf5_spacing_zyx_mm(dataset, found.groups))
        _without_errors(filters_missing_for, dataset)
        _without_errors(_read_table, dataset)
        with suppress(Exception):
            if is_real(dataset) and dataset.ndim >= 3 and dataset.size:
                lies_as(dataset, dataset.dtype)
                require_whole(dataset, found.name, path)
                self._read(dataset)

    def _read(self, dataset: Any) -> None:
        """All voxels, or the first and the last if they are too many or lie on the disk as they are."""
        mapped = dataset.id.get_offset() is not None
        size = dataset.size * dataset.dtype.itemsize
        if dataset.chunks is not None:
            dataset.id.chunk_iter(lambda _info: None)
        if size <= self._left and not mapped:
            self._left -= size
            _ = dataset[...]
            return
        for place in ((0,) * dataset.ndim, tuple(length - 1 for length in dataset.shape)):
            _ = dataset[place]


def _read_table(dataset: Any) -> None:
    """Axes, angles and numbers of transforms, as far as they are small."""
    if dataset.ndim < 3 and dataset.size and dataset.size <= MOST_VALUES_OF_TABLES and not dataset.is_virtual:
        _ = dataset[()]


def _without_errors(do: Callable[..., Any], *arguments: Any) -> None:
    with suppress(Exception):
        do(*arguments)


def light_package() -> None:
    """Let the readers of HDF5 be imported without those of all other formats, which take longer than the work here."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules[PACKAGE] = package


def main(path: str) -> int:
    """Look through one file and those that it refers to; writes which they were."""
    light_package()
    from MgImplantSegLib.base.child_process import limit_memory
    from MgImplantSegLib.io import hdf5_door

    limit_memory(MEMORY_BYTES)
    import h5py  # noqa: F401

    with suppress(ImportError):  # brings further filters, where it is installed
        import hdf5plugin  # noqa: F401
    from MgImplantSegLib.io.companions import files_behind

    out = sys.stdout.buffer
    out.write(hdf5_door.STARTED)
    out.flush()
    hdf5_door.be_the_child()
    looker, looked_through = Looker(), set()
    looker.look_through(Path(path))
    looked_through.add(os.path.realpath(path))
    _without_errors(files_behind, path)
    while waiting := [name for name, _, _ in hdf5_door.tried_files() if name not in looked_through]:
        looked_through |= set(waiting)
        for name in waiting:
            looker.look_through(Path(name))
    for name, changed, size in hdf5_door.tried_files():
        out.write(b"\0%d %d %s" % (changed, size, os.fsencode(name)))
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
