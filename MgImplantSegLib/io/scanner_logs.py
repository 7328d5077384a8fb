"""The pixel size that a reconstruction program wrote beside its slices: beamlines' `reco.log`, SkyScan's `.log`."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from MgImplantSegLib.base.units import mm_of_unit

logger = logging.getLogger(__name__)
LOG_NAME = "reco.log"
FOLDERS_WITH_LOG = 3
SMALLEST_PIXEL_UM, LARGEST_PIXEL_UM = 0.01, 1e4
PIXEL_SIZE = re.compile(r"^[ \t]*eff(?:ective)?_pixel_size[ \t]*[:=][ \t]*([-+.\deE]+)[ \t]*(\S*)", re.MULTILINE)
BINNING = re.compile(r"(?:(?<![^\W\d_])(?i:bin)|(?<=[a-z])Bin|(?<=raw)bin)(?i:ning|ned)?[ _-]?(\d{1,2})(?![\d.,])")
SKYSCAN_SIZE = re.compile(
    r"^[ \t]*(Image[ \t]+)?Pixel[ \t]+Size[ \t]*\(([^)]*)\)[ \t]*=[ \t]*([-+.,\deE]+)", re.MULTILINE | re.IGNORECASE
)
SKYSCAN_SECTION = re.compile(r"^[ \t]*\[(?P<name>[^\]]*)\]", re.MULTILINE)
LARGEST_LOG_BYTES = 1 << 22


def logged_pixel_size(folder: Path, slices: Sequence[str]) -> tuple[float, str] | None:
    """Size of a pixel in µm and the name of the log that says it; None where none does.

    `reco.log` lies in the folder or up to two above it; its size is multiplied by the binning in the folder's name
    (``float_rawBin2``). SkyScan's log lies beside the slices and has the first part of their names; its size is that
    of the reconstructed pixels.
    """
    size_um = _reco_log_um(folder)
    if size_um is not None:
        return size_um, LOG_NAME
    for log in _logs_beside(folder, slices):
        size_um = _skyscan_um(log)
        if size_um is not None:
            return size_um, log.name
    return None


def _reco_log_um(folder: Path) -> float | None:
    folder = folder.resolve()
    for place in [folder, *folder.parents][:FOLDERS_WITH_LOG]:
        log = place / LOG_NAME
        if log.is_file():
            size_um = _effective_size_um(log)
            return None if size_um is None else size_um * _binning(folder.name)
    return None


def _binning(name: str) -> float:
    """The factor in a folder's name; ``bin`` within another word (cabin3, Robin2) is none."""
    product = 1.0
    for number in BINNING.findall(name):
        product *= max(1, int(number))
    return product


def _effective_size_um(log: Path) -> float | None:
    """The effective pixel size in a log, in µm also where no unit follows the number."""
    match = PIXEL_SIZE.search(_text(log))
    if match is None:
        logger.warning("%s names no effective_pixel_size.", log)
        return None
    return _in_um(match.group(1), match.group(2) or "µm", log, match.group(0))


def _logs_beside(folder: Path, slices: Sequence[str]) -> list[Path]:
    """Logs whose names begin the names of the slices, the longest first; else the only log of the folder."""
    logs = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() == ".log" and entry.is_file())
    logs = [log for log in logs if log.name != LOG_NAME and not log.name.startswith(".")]
    fitting = [log for log in logs if slices[0].startswith(log.stem)]
    return sorted(fitting, key=lambda log: -len(log.stem)) or (logs if len(logs) == 1 else [])


def _skyscan_um(log: Path) -> float | None:
    """The pixel size of the section Reconstruction, else the last one that is no setting of the camera."""
    text, sizes = _text(log), []
    sections = [(match.start(), match["name"].strip().lower()) for match in SKYSCAN_SECTION.finditer(text)]
    for match in SKYSCAN_SIZE.finditer(text):
        section = next((name for start, name in reversed(sections) if start < match.start()), "")
        rank = (section == "reconstruction", match.group(1) is None)
        size_um = _in_um(match.group(3), match.group(2), log, match.group(0))
        if size_um is not None:
            sizes.append((rank, size_um))
    return max(sizes, key=lambda entry: entry[0])[1] if sizes else None


def _in_um(number: str, unit: str, log: Path, line: str) -> float | None:
    try:
        size, unit_mm = float(number.replace(",", ".")), mm_of_unit(unit)
    except ValueError:
        size, unit_mm = 0.0, None
    if unit_mm is None or not SMALLEST_PIXEL_UM <= size * unit_mm * 1e3 <= LARGEST_PIXEL_UM:
        logger.warning("%s: the pixel size %r is not understood and is ignored.", log, line.strip())
        return None
    return size * unit_mm * 1e3


def _text(log: Path) -> str:
    with open(log, "rb") as stream:
        return stream.read(LARGEST_LOG_BYTES).decode("utf-8", "replace").replace("\r", "\n").replace("\ufffdm", "µm")
