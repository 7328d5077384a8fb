"""All files that an input consists of: what else is read when a file or a folder of slices is.

One small function a format gives the further files that its readers open; `COMPANIONS` is the registry. They read a
header at most, believe nothing in it and raise no errors: a damaged file has no companions, and its reader says why.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io.hdf5_door import opened

LONGEST_HEADER = 1 << 20
MOST_FILES = 100_000
SLICE_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".bmp", ".png", ".jpg", ".jpeg")
LOG_SUFFIX, RECONSTRUCTION_LOG = ".log", "reco.log"
FOLDERS_WITH_LOG = 3
NRRD_DATA_FILE = re.compile(rb"(?mi)^data ?file[ \t]*:[ \t]*=?[ \t]*(.*?)[ \t]*\r?$")
METAIMAGE_DATA_FILE = re.compile(rb"(?m)^[ \t]*ElementDataFile[ \t]*=[ \t]*(.*?)[ \t]*\r?$")
MATERIAL_LIBRARY = re.compile(rb"(?m)^mtllib[ \t]+(.+?)[ \t]*\r?$")
FILE_OF_OME = re.compile(rb'FileName="([^"]+)"')
NUMBER_IN_PATTERN = re.compile(r"%0?\d*[du]")

Companions = Callable[[Path], Iterable[Path]]


def files_behind(path: str | Path) -> tuple[Path, ...]:
    """The file and its companions, or the slices of a folder with their logs, each once and all existing.

    Companions of companions count too: an HDF5 file that is linked may have links of its own.
    """
    first = Path(path)
    if first.is_dir():
        return tuple(_distinct(_folder(first)))
    found: dict[str, Path] = {}
    waiting = [first]
    while waiting and len(found) < MOST_FILES:
        file = waiting.pop()
        if file.is_file() and _identity(file) not in found:
            found[_identity(file)] = file
            waiting += list(companions(file))
    return tuple(found.values())


def companions(path: str | Path) -> tuple[Path, ...]:
    """Files that belong to a file because its reader opens them too; itself not among them."""
    path = Path(path)
    suffix = path.suffix.lower()
    try:
        found = list(COMPANIONS[suffix](path)) if suffix in COMPANIONS else []
    except (OSError, ValueError, OverflowError):
        found = []
    return tuple(entry for entry in _distinct(found) if _identity(entry) != _identity(path))


def _distinct(paths: Iterable[Path]) -> Iterator[Path]:
    seen = set()
    for path in paths:
        if _is_file(path) and _identity(path) not in seen:
            seen.add(_identity(path))
            yield path


def _identity(path: Path) -> str:
    return os.path.realpath(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name with a zero byte, or far too long
        return False


def _folder(folder: Path) -> Iterator[Path]:
    """The slices of a folder, and the logs that give their pixel size."""
    for entry in sorted(folder.iterdir()):
        if entry.suffix.lower() in (*SLICE_SUFFIXES, LOG_SUFFIX) and not entry.name.startswith("."):
            yield entry
    yield from _reconstruction_logs(folder)


def _reconstruction_logs(folder: Path) -> Iterator[Path]:
    folder = folder.resolve()
    for place in [folder, *folder.parents][:FOLDERS_WITH_LOG]:
        yield place / RECONSTRUCTION_LOG


def _of_nrrd(path: Path) -> Iterator[Path]:
    header = _head(path)
    if path.suffix.lower() == ".nrrd":  # what follows an empty line are voxels
        header = header.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
    match = NRRD_DATA_FILE.search(header)
    if match:
        value = os.fsdecode(match[1])
        rest = header[match.end() :] if value.upper().startswith("LIST") else b""
        yield from _data_files(path.parent, value, rest)


def _of_metaimage(path: Path) -> Iterator[Path]:
    header = _head(path)
    match = METAIMAGE_DATA_FILE.search(header)
    if match and match[1].upper() not in (b"LOCAL", b""):
        value = os.fsdecode(match[1])
        rest = header[match.end() :] if value.upper().startswith("LIST") else b""
        yield from _data_files(path.parent, value, rest)


def _data_files(folder: Path, value: str, list_of_files: bytes) -> Iterator[Path]:
    """The files of one name, of a pattern ``slice%03d.raw 1 100 1``, or of a list that follows the header."""
    if value.upper().startswith("LIST"):
        names = (os.fsdecode(line.strip()) for line in list_of_files.splitlines())
        yield from (folder / name for name in names if name)
        return
    if NUMBER_IN_PATTERN.search(value):
        yield from _of_pattern(folder, value.split()[0])
    yield folder / value


def _of_pattern(folder: Path, pattern: str) -> Iterator[Path]:
    """All files whose names have a number in the pattern's place, whichever of them are read."""
    parts = NUMBER_IN_PATTERN.split(pattern)
    yield from sorted(Path(name) for name in glob.iglob(str(folder / "*".join(map(glob.escape, parts)))))


def _of_pair(*suffixes: str) -> Companions:
    """The other half of a pair of files with one name."""

    def others(path: Path) -> Iterator[Path]:
        return (path.with_suffix(suffix) for suffix in suffixes)

    return others


def _of_tiff(path: Path) -> Iterator[Path]:
    """Logs beside the file, and further files of an OME-TIFF, which its description names."""
    yield from _reconstruction_logs(path.parent)
    yield path.with_suffix(LOG_SUFFIX)
    for part in (_head(path), _tail(path)):
        if b"<OME" in part or b"FileName=" in part:
            yield from (path.parent / os.fsdecode(name) for name in FILE_OF_OME.findall(part))


def _of_obj(path: Path) -> Iterator[Path]:
    return (path.parent / os.fsdecode(name) for name in MATERIAL_LIBRARY.findall(_head(path)))


def _of_hdf5(path: Path) -> Iterator[Path]:
    """Files of external links, virtual datasets and external storage, from the file's structure alone."""
    try:
        import h5py
    except ImportError:
        return
    try:
        with opened(path) as file:
            yield from _linked_files(h5py, file, path.parent)
    except (InputError, OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError):  # a damaged file
        return


def _linked_files(h5py: Any, file: Any, folder: Path) -> Iterator[Path]:
    groups = [file["/"]]
    seen: set[Any] = set()
    while groups and len(seen) < MOST_FILES:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield folder / link.filename
            if not isinstance(link, h5py.HardLink):
                continue
            entry = group.get(name)
            address = h5py.h5o.get_info(entry.id).addr
            if address not in seen:
                seen.add(address)
                if isinstance(entry, h5py.Group):
                    groups.append(entry)
                elif isinstance(entry, h5py.Dataset):
                    yield from _files_of_dataset(entry, folder)


def _files_of_dataset(dataset: Any, folder: Path) -> Iterator[Path]:
    for name, _offset, _size in dataset.external or ():
        yield folder / os.fsdecode(name)
    if dataset.is_virtual:
        for source in dataset.virtual_sources():
            if "%b" in source.file_name:
                yield from map(Path, sorted(glob.iglob(str(folder / source.file_name.replace("%b", "*")))))
            elif source.file_name != ".":
                yield folder / source.file_name


def _head(path: Path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(LONGEST_HEADER)


def _tail(path: Path) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(max(LONGEST_HEADER, os.path.getsize(path) - LONGEST_HEADER))
        return stream.read(LONGEST_HEADER)


COMPANIONS: dict[str, Companions] = {
    ".nhdr": _of_nrrd,
    ".nrrd": _of_nrrd,
    ".mhd": _of_metaimage,
    ".mha": _of_metaimage,
    ".hdr": _of_pair(".img", ".img.gz"),
    ".img": _of_pair(".hdr"),
    **dict.fromkeys((".tif", ".tiff", ".btf", ".tf8"), _of_tiff),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".he5", ".nxs", ".nx"), _of_hdf5),
    ".obj": _of_obj,
}
