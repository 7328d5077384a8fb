"""Scans and their label maps for training: a check that they lie on each other, and a configuration of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from MgImplantSegLib.files import atomic_output
from MgImplantSegLib.toml_writer import toml_text

UNREAD = "?"
TOLERANCE_VOXELS = 1e-2


@dataclass(frozen=True)
class Pair:
    """One scan and its label map."""

    image: Path
    labels: Path


def check(pair):
    """Whether both files lie on one grid, as a text; only headers are read.

    :returns: ``OK`` and what was found, or what does not fit.
    """
    image, labels = _header(pair.image), _header(pair.labels)
    if image is None or labels is None:
        return _("checked when the training starts")
    if image["size"] != labels["size"]:
        return _("sizes differ: {image} and {labels} voxels").format(
            image=_times(image["size"]), labels=_times(labels["size"])
        )
    apart = np.abs(np.array(image["corners"]) - np.array(labels["corners"])).max() / min(image["spacing"])
    if apart > TOLERANCE_VOXELS:
        return _("{voxels:.3g} voxels apart").format(voxels=apart)
    return _("OK, {size} voxels").format(size=_times(image["size"]))


def configurationText(pairs, name, spacingUm):
    """A training configuration (TOML) with these pairs; the last one validates if there are several."""
    samples = [
        {
            "name": sample,
            "image": str(pair.image),
            "labels": str(pair.labels),
            **({"split": "validation"} if pair is pairs[-1] and len(pairs) > 1 else {}),
        }
        for pair, sample in zip(pairs, sampleNames(pairs), strict=True)
    ]
    data = {"spacing_um": float(f"{spacingUm:g}"), "samples": samples}
    return toml_text({"name": name, "output": "runs", "seed": 0, "data": data})


def sampleNames(pairs):
    """A name for each pair that no other has: the file's, with its folder or a number where that is not enough."""
    names = []
    for pair in pairs:
        stem = pair.image.name.split(".")[0]
        choices = [
            stem,
            f"{pair.image.parent.name}_{stem}",
            *(f"{stem}_{number}" for number in range(2, len(pairs) + 2)),
        ]
        names.append(next(name for name in choices if name not in names))
    return names


def writeConfiguration(pairs, path, spacingUm):
    """Write the configuration, whole or not at all."""
    with atomic_output(path) as temporary:
        temporary.write_text(configurationText(pairs, Path(path).stem, spacingUm), "utf-8")


def spacingUm(pair):
    """Smallest voxel spacing of a scan in µm, or None if its header cannot be read here."""
    header = _header(pair.image)
    return None if header is None else min(header["spacing"]) * 1000


def _header(path):
    """Size, spacing and corners of an image file that ITK knows; None for others."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    if reader.GetDimension() != 3:
        return None
    size, spacing = np.array(reader.GetSize()), np.array(reader.GetSpacing())
    direction = np.array(reader.GetDirection()).reshape(3, 3)
    ends = [np.zeros(3), size - 1, np.array([size[0] - 1, 0, 0]), np.array([0, size[1] - 1, 0])]
    corners = [np.array(reader.GetOrigin()) + direction @ (spacing * index) for index in ends]
    return {"size": tuple(int(n) for n in size), "spacing": tuple(spacing), "corners": corners}


def _times(numbers):
    return "×".join(str(number) for number in numbers)
