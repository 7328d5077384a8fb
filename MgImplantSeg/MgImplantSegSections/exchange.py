"""Volumes and label maps between the scene and a child process: raw NRRD files, written and read slab by slab.

Nothing here needs more than NumPy and the standard library, because it runs in Slicer's own Python. Each function is
a generator that yields progress events, so two gigabytes do not stop the GUI.
"""

import contextlib
import gzip
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.labels import DEFAULT_SCHEME, LabelScheme
from MgImplantSegLib.volume import LabelMap

SLAB_BYTES = 1 << 25
SCHEME_KEY = "MgImplantSeg_LabelScheme"
TYPE_OF_DTYPE = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
                 "f4": "float", "f8": "double"}  # fmt: skip
DTYPE_OF_TYPE = {name: code for code, name in TYPE_OF_DTYPE.items()} | {
    "unsigned char": "u1", "uchar": "u1", "short": "i2", "unsigned short": "u2", "int": "i4",
}  # fmt: skip


@contextlib.contextmanager
def taskFolder(parentFolder):
    """A folder for the files of one task, removed at the end whatever happens."""
    folder = tempfile.mkdtemp(prefix="MgImplantSeg-", dir=parentFolder)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def writeRawNrrd(array, geometry, path, token, keys=None):
    """Write an array (z, y, x) of any numeric type with its geometry (LPS, mm); yields progress events."""
    code = f"{array.dtype.kind}{array.dtype.itemsize}"
    if code not in TYPE_OF_DTYPE:
        raise InputError(f"Expected numbers of up to 32 bits, or double precision, got {array.dtype}.")
    stage = _("handing over the voxels")
    with open(path, "wb") as file:
        file.write(_header(TYPE_OF_DTYPE[code], geometry, keys or {}).encode("utf-8"))
        for done, slab in enumerate(_slabs(array), start=1):
            token.check()
            np.ascontiguousarray(slab, dtype=array.dtype.newbyteorder("<")).tofile(file)
            yield {"event": "progress", "stage": stage, "done": done, "total": _slabCount(array)}


def readLabels(path, geometry, token, provenance=None):
    """The label map that the engine has written on the grid `geometry`; yields progress events."""
    stage = _("fetching the result")
    with open(path, "rb") as raw:
        fields = _fields(raw)
        dtype = np.dtype("<" + DTYPE_OF_TYPE[fields["type"]])
        stream = gzip.GzipFile(fileobj=raw) if fields["encoding"] in ("gzip", "gz") else raw
        array = np.empty(geometry.shape_zyx, dtype)
        if tuple(int(n) for n in fields["sizes"].split()) != array.shape[::-1]:
            raise InputError(f"Expected a result of {array.shape[::-1]} voxels, got {fields['sizes']}.")
        for done, slab in enumerate(_slabs(array), start=1):
            token.check()
            _fill(stream, slab)
            yield {"event": "progress", "stage": stage, "done": done, "total": _slabCount(array)}
    scheme = LabelScheme.from_dict(json.loads(fields[SCHEME_KEY])) if SCHEME_KEY in fields else DEFAULT_SCHEME
    return LabelMap(array, geometry, scheme, provenance or {})


def schemeKeys(scheme):
    """The key that tells the engine what the values of a label map mean."""
    return {SCHEME_KEY: json.dumps(scheme.to_dict(), ensure_ascii=False)}


def _header(typeName, geometry, keys):
    columns = (geometry.direction_matrix * np.array(geometry.spacing_zyx_mm[::-1])).T
    vectors = [f"({','.join(f'{value:.17g}' for value in vector)})" for vector in columns]
    lines = [
        "NRRD0005", f"type: {typeName}", "dimension: 3", "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in geometry.shape_zyx[::-1])}", f"space directions: {' '.join(vectors)}",
        "kinds: domain domain domain", "endian: little", "encoding: raw",
        f"space origin: ({','.join(f'{value:.17g}' for value in geometry.origin_lps_mm)})",
    ]  # fmt: skip
    pairs = [f"{key}:=" + value.replace("\\", "\\\\").replace("\n", "\\n") for key, value in keys.items()]
    return "\n".join([*lines, *pairs]) + "\n\n"


def _fields(file):
    """Fields and key/value pairs of the header; the file stands at the voxels afterwards."""
    fields = {}
    for line in iter(file.readline, b""):
        text = line.decode("utf-8").rstrip("\r\n")
        if not text:
            return fields
        name, isKey, value = text.partition(":=")
        if isKey:
            fields[name] = value.replace("\\n", "\n").replace("\\\\", "\\")
        else:
            name, _separator, value = text.partition(":")
            fields[name.strip()] = value.strip()
    raise InputError("Expected a result file with voxels, got a header without an end.")


def _fill(stream, slab):
    target = memoryview(slab.reshape(-1).view(np.uint8))
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled:])
        if not count:
            raise InputError("Expected a complete result file, got a truncated one.", "Start the work again.")
        filled += count


def _slabs(array):
    step = _slabHeight(array)
    return (array[start : start + step] for start in range(0, array.shape[0], step))


def _slabHeight(array):
    return max(1, SLAB_BYTES // max(1, array[:1].nbytes))


def _slabCount(array):
    return -(-array.shape[0] // _slabHeight(array))
