"""Reading of a mesh file by VTK in a process of its own, which a damaged file may end: FILE OUT.npz MEMORY_BYTES.

Writes points, float64 (n, 3), and triangles, int64 (m, 3), of checked indices; what is wrong with a file goes as one
line to the standard error, with `REFUSED` as exit status. Of the engine it needs little, so that the start is quick.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from MgImplantSegLib.base.child_process import limit_memory

READERS = {
    ".stl": ("vtkIOGeometry", "vtkSTLReader"),
    ".ply": ("vtkIOPLY", "vtkPLYReader"),
    ".obj": ("vtkIOGeometry", "vtkOBJReader"),
    ".vtk": ("vtkIOLegacy", "vtkPolyDataReader"),
    ".vtp": ("vtkIOXML", "vtkXMLPolyDataReader"),
}
REFUSED = 3
LARGEST_COORDINATE = 1e12  # squares of it are no trouble, and no unit makes a screw as large
STL_HEADER_BYTES, STL_TRIANGLE_BYTES = 84, 50
PLY_HEADER_BYTES = 1 << 16
COMPRESSION = 1100  # no deflated file becomes larger by more
COUNTS = {
    ".ply": rb"^element[ \t]+\w+[ \t]+(-?\d+)",
    ".vtk": rb"^(?:POINTS|POLYGONS|TRIANGLE_STRIPS|LINES|VERTICES|POINT_DATA|CELL_DATA)[ \t]+(-?\d+)(?:[ \t]+(-?\d+))?",
    ".vtp": rb"NumberOf(?:Points|Polys|Strips|Lines|Verts|Tuples)=\"(-?\d+)\"",
}


class Refused(Exception):
    """The file cannot be used; says why."""


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) and triangles (m, 3) of a file."""
    suffix = path.suffix.lower()
    require_counts_that_fit(path.read_bytes(), suffix)
    mesh = _with_triangles(_read_by_vtk(path, suffix))
    from vtkmodules.util.numpy_support import vtk_to_numpy

    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    if not np.isfinite(points[triangles]).all():
        raise Refused("coordinates that are not finite numbers")
    if np.abs(points[triangles]).max(initial=0.0) > LARGEST_COORDINATE:
        raise Refused(f"coordinates beyond {LARGEST_COORDINATE:g}")
    return points, triangles


def require_counts_that_fit(content: bytes, suffix: str) -> None:
    """A file that promises more than its bytes can hold is damaged; nothing may be allocated for it."""
    if suffix == ".stl" and not _is_text_stl(content):
        count = int.from_bytes(content[STL_HEADER_BYTES - 4 : STL_HEADER_BYTES], "little")
        held = max(0, len(content) - STL_HEADER_BYTES) // STL_TRIANGLE_BYTES
        if count > held:
            raise Refused(f"{held:,} triangles of the {count:,} that its header promises")
    if suffix not in COUNTS:
        return
    largest = len(content) * (COMPRESSION if suffix == ".vtp" else 1)
    searched = content[:PLY_HEADER_BYTES].split(b"end_header")[0] if suffix == ".ply" else content
    for match in re.finditer(COUNTS[suffix], searched, re.MULTILINE | re.IGNORECASE):
        for count in filter(None, match.groups()):
            if not 0 <= int(count[:20]) <= largest:
                raise Refused(f"a count of {count[:20].decode()} in a file of {len(content):,} bytes")


def _is_text_stl(content: bytes) -> bool:
    """Whether an STL file is text; binary ones may begin with ``solid`` too."""
    start = content[:1024].lstrip()
    return start[:5].lower() == b"solid" and b"\0" not in content[:1024] and b"facet" in content[:4096].lower()


def _read_by_vtk(path: Path, suffix: str) -> Any:
    """The mesh as `vtkPolyData`; whatever VTK complains of is an error."""
    module, name = READERS[suffix]
    reader = getattr(importlib.import_module(f"vtkmodules.{module}"), name)()
    if suffix == ".vtp" and not reader.CanReadFile(str(path)):
        raise Refused("a file that is not a VTK XML surface")
    reader.SetFileName(str(path))
    with tempfile.TemporaryFile() as stream:
        with _output_in(stream):
            reader.Update()
        stream.seek(0)
        said = stream.read().decode(errors="replace")
    if said.strip() or reader.GetErrorCode():
        raise Refused(f"damaged contents ({_first_complaint(said)})")
    return reader.GetOutput()


@contextmanager
def _output_in(stream: IO[bytes]) -> Iterator[None]:
    """Both outputs of the process in a file: VTK's readers write to them by several ways."""
    saved = [os.dup(number) for number in (1, 2)]
    for number in (1, 2):
        os.dup2(stream.fileno(), number)
    try:
        yield
    finally:
        for number, kept in zip((1, 2), saved, strict=True):
            os.dup2(kept, number)
            os.close(kept)


def _first_complaint(text: str) -> str:
    """What VTK said, without colours, time and place in its source."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    words = [re.sub(r"^.*?(?:ERR|WARN)\| *", "", line).strip() for line in lines]
    words = [re.sub(r"^\w+ \(0x[0-9a-f]+\): ", "", line) for line in words if line]
    return (words or ["the reader reports an error"])[0].rstrip(".")[:160]


def _with_triangles(mesh: Any) -> Any:
    """The mesh's polygons and strips cut into triangles, after their indices were checked."""
    from vtkmodules.vtkCommonDataModel import vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    for kind, cells in (("polygon", mesh.GetPolys()), ("strip", mesh.GetStrips())):
        _require_cells(kind, cells, mesh.GetNumberOfPoints())
    surface = vtkPolyData()
    surface.SetPoints(mesh.GetPoints())
    surface.SetPolys(mesh.GetPolys())
    surface.SetStrips(mesh.GetStrips())
    split = vtkTriangleFilter()
    split.SetInputData(surface)
    split.Update()
    if split.GetOutput().GetNumberOfPolys() == 0:
        raise Refused("no triangles")
    return split.GetOutput()


def _require_cells(kind: str, cells: Any, points: int) -> None:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    if cells.GetNumberOfCells() == 0:
        return
    offsets = vtk_to_numpy(cells.GetOffsetsArray()).astype(np.int64)
    corners = vtk_to_numpy(cells.GetConnectivityArray())
    if offsets[0] != 0 or offsets[-1] > corners.size or (np.diff(offsets) < 0).any():
        raise Refused(f"a {kind} whose corners are not in the file")
    if corners.size and not (corners.min() >= 0 and corners.max() < points):
        wrong = corners.max() if corners.min() >= 0 else corners.min()
        raise Refused(f"a {kind} with the point {wrong} of {points:,} points")
    if (np.diff(offsets) < 3).any():
        raise Refused(f"a {kind} of fewer than three corners")


def _with_readable_name(path: Path, folder: Path) -> Path:
    """The file, by a link in `folder` if its name is not UTF-8, which VTK cannot open."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        link = folder / f"mesh{path.suffix}"
        link.symlink_to(path.absolute())
        return link
    return path


def main(path: str, out: str, memory_bytes: str) -> int:
    """Read one file; the exit status."""
    limit_memory(int(memory_bytes))
    try:
        points, triangles = read(_with_readable_name(Path(path), Path(out).parent))
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return REFUSED
    np.savez(out, points=points, triangles=triangles)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
