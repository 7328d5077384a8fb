"""Volumes and label maps between the scene and a child process: raw files, written and read slab by slab.

To the engine go MetaImage files (.mha), which it reads with what Slicer's own Python has; from it come NRRD files.
Nothing here needs more than NumPy and the standard library. Each function is a generator that yields progress events,
so two gigabytes do not stop the GUI.
"""

import contextlib
import gzip
import json
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io.label_values import values_in
from MgImplantSegLib.labels import CLASSES, DEFAULT_SCHEME, LabelScheme
from MgImplantSegLib.slabs import slabs
from MgImplantSegLib.volume import LabelMap

SLAB_BYTES = 1 << 25
SCHEME_KEY = "MgImplantSeg_LabelScheme"
TYPE_OF_DTYPE = {
    "i1": "MET_CHAR",
    "u1": "MET_UCHAR",
    "i2": "MET_SHORT",
    "u2": "MET_USHORT",
    "i4": "MET_INT",
    "u4": "MET_UINT",
    "f4": "MET_FLOAT",
    "f8": "MET_DOUBLE",
}
DTYPE_OF_TYPE = {
    "int8": "i1",
    "uint8": "u1",
    "unsigned char": "u1",
    "uchar": "u1",
    "int16": "i2",
    "short": "i2",
    "uint16": "u2",
    "unsigned short": "u2",
    "int32": "i4",
    "int": "i4",
    "uint32": "u4",
}
VALUE_OF_ROLE = {label.role: label.value for label in CLASSES}
IGNORED_VALUE = 255
ROLES_WORD = ",".join([*(f"{value}={role.value}" for role, value in VALUE_OF_ROLE.items()), f"{IGNORED_VALUE}=ignore"])


@contextlib.contextmanager
def taskFolder(parentFolder):
    """A folder for the files of one task, removed at the end whatever happens."""
    folder = tempfile.mkdtemp(prefix="MgImplantSeg-", dir=parentFolder)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def writeImage(array, geometry, path, token, values=None):
    """Write an array (z, y, x) of any numeric type with its geometry (LPS, mm) as .mha; yields progress events.

    :param values: what is written in place of each value of a label map.
    """
    dtype = np.dtype(np.uint8) if values else array.dtype
    code = f"{dtype.kind}{dtype.itemsize}"
    if code not in TYPE_OF_DTYPE:
        raise InputError(
            _("Expected numbers of up to 32 bits, or double precision, got {kind}.").format(kind=array.dtype)
        )
    stage = _("handing over the voxels")
    with open(path, "wb") as file:
        file.write(_header(TYPE_OF_DTYPE[code], geometry).encode("ascii"))
        parts = _parts(array)
        for done, part in enumerate(parts, start=1):
            token.check()
            written = _replaced(array[part], values) if values else array[part]
            np.ascontiguousarray(written, dtype=dtype.newbyteorder("<")).tofile(file)
            yield {"event": "progress", "stage": stage, "done": done, "total": len(parts)}


def writeLabels(labelMap, path, token):
    """Write a label map as .mha with the values of `ROLES_WORD`, which says what they mean; yields progress events.

    :param labelMap: a `LabelMap`, or a `SegmentationReading`, of which only a slab is in memory at a time.
    """
    scheme = labelMap.scheme
    values = {label.value: VALUE_OF_ROLE[label.role] for label in scheme.labels}
    if scheme.ignore_value is not None:
        values[scheme.ignore_value] = IGNORED_VALUE
    yield from writeImage(labelMap.array, labelMap.geometry, path, token, values)


def readLabels(path, geometry, token, provenance=None):
    """The label map that the engine has written on the grid `geometry`, with the values in it; yields progress."""
    stage, present = _("fetching the result"), set()
    with open(path, "rb") as raw:
        fields = _fields(raw)
        dtype = np.dtype("<" + DTYPE_OF_TYPE[fields["type"]])
        stream = gzip.GzipFile(fileobj=raw) if fields["encoding"] in ("gzip", "gz") else raw
        array = np.empty(geometry.shape_zyx, dtype)
        if tuple(int(n) for n in fields["sizes"].split()) != array.shape[::-1]:
            raise InputError(
                _("Expected a result of {size} voxels, got {sizes}.").format(
                    size=array.shape[::-1], sizes=fields["sizes"]
                )
            )
        parts = _parts(array)
        for done, part in enumerate(parts, start=1):
            token.check()
            _fill(stream, array[part])
            present.update(values_in(array[part]))
            yield {"event": "progress", "stage": stage, "done": done, "total": len(parts)}
    scheme = LabelScheme.from_dict(json.loads(fields[SCHEME_KEY])) if SCHEME_KEY in fields else DEFAULT_SCHEME
    return LabelMap(array, geometry, scheme, provenance or {}), present


def _header(typeName, geometry):
    numbers = {
        "TransformMatrix": geometry.direction_matrix.T.ravel(),
        "Offset": geometry.origin_lps_mm,
        "ElementSpacing": geometry.spacing_zyx_mm[::-1],
    }
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        *(f"{name} = {' '.join(f'{n:.17g}' for n in row)}" for name, row in numbers.items()),
        f"DimSize = {' '.join(str(n) for n in geometry.shape_zyx[::-1])}",
        f"ElementType = {typeName}",
        "ElementDataFile = LOCAL",
    ]
    return "\n".join(lines) + "\n"


def _replaced(slab, values):
    result = np.zeros(slab.shape, np.uint8)
    for old, new in values.items():
        if new:
            result[slab == old] = new
    return result


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
    raise InputError(_("Expected a result file with voxels, got a header without an end."))


def _fill(stream, slab):
    target = memoryview(slab.reshape(-1).view(np.uint8))
    filled = 0
    while filled < len(target):
        try:
            count = stream.readinto(target[filled:])
        except (EOFError, zlib.error):
            count = 0
        if not count:
            raise InputError(_("Expected a complete result file, got a truncated one."), _("Start the work again."))
        filled += count


def _parts(array):
    return list(slabs(array.shape, SLAB_BYTES // array.dtype.itemsize))
