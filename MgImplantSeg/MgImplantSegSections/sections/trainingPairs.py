"""Scans and their label maps for training: a check that they lie on each other, and a configuration of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import DependencyError, MgImplantSegError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import resource
from MgImplantSegLib.base.settings import read_toml
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.grids import grid_text, placement
from MgImplantSegLib.io.itk_image import read_information
from MgImplantSegLib.io.volumes import read_geometry
from MgImplantSegLib.io.voxel_size import voxel_size_doubt
from MgImplantSegLib.model.file import read_card


@dataclass(frozen=True)
class Pair:
    """One scan and its label map."""

    image: Path
    labels: Path


def check(pair: Any):
    """Whether the labels lie on voxels of their scan, as a text; only headers are read.

    :returns: ``OK`` and what was found, or what does not fit.
    """
    image, labels = _geometry(pair.image), _geometry(pair.labels)
    if image is None or labels is None:
        return _("checked when the training starts")
    place = placement(labels, image)
    if place is None:
        return _("the voxel grids differ: {image} and {labels}").format(
            image=grid_text(image), labels=grid_text(labels)
        )
    if not place.is_inside(image.shape_zyx):
        return _("the labels extend beyond the scan: {image} and {labels} voxels").format(
            image=_times(image.shape_zyx[::-1]), labels=_times(labels.shape_zyx[::-1])
        )
    if place.shape_zyx != image.shape_zyx:
        return _("OK, labels of a part: {labels} of {image} voxels").format(
            image=_times(image.shape_zyx[::-1]), labels=_times(place.shape_zyx[::-1])
        )
    return _("OK, {size} voxels").format(size=_times(image.shape_zyx[::-1]))


def configurationText(pairs: Any, name: str, spacingUm: Any, modelPath: Any = None):
    """A training configuration (TOML) with these pairs; the last one validates if there are several.

    :param modelPath: the model that is fine-tuned, with its network and voxel size, in some minutes; without it the
        network of the paper learns from scratch, which takes days.
    """
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
    settings = {"name": name, "output": "runs", "seed": 0}
    if modelPath is None:
        return toml_text({**settings, "data": data})
    card, recipe = read_card(modelPath), read_toml(resource("Configurations", "fine-tuning.toml"))
    data["spacing_um"] = card.preprocessing.spacing_um
    network = {key: value for key, value in card.network.items() if key != "classes"}
    wanted = {key: recipe[key] for key in ("augmentation", "training", "validation")}
    return toml_text({**settings, "base_model": str(modelPath), "data": data, "network": network, **wanted})


def sampleNames(pairs: Any):
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


def writeConfiguration(pairs: Any, path: Any, spacingUm: Any, modelPath: Any = None):
    """Write the configuration, whole or not at all."""
    with atomic_output(path) as temporary:
        temporary.write_text(configurationText(pairs, Path(path).stem, spacingUm, modelPath), "utf-8")


def spacingUm(pair: Any):
    """Smallest voxel spacing of a scan in µm, or None if its header cannot be read here."""
    geometry = _geometry(pair.image)
    return None if geometry is None else min(geometry.spacing_zyx_mm) * 1000


def _geometry(path: Any):
    """The grid of an image file as the engine reads it; None where its header alone does not tell.

    Without pynrrd, which Slicer's Python may lack, SimpleITK reads NRRD. It overlooks the unit of length there, so what
    cannot be in millimetres is left to the training.
    """
    try:
        try:
            return read_geometry(path)
        except DependencyError:
            information = read_information(path, "NrrdImageIO")
            geometry = Geometry(information.shape_zyx, **information.frame)
            return None if voxel_size_doubt(geometry) else geometry
    except MgImplantSegError:
        return None


def _times(numbers: Any):
    return "×".join(str(number) for number in numbers)
