"""Ranges of DR, BIC and BV/TV from the disagreement of the slicing planes.

Where at least a third of the planes disagree the class is uncertain. Two extreme segmentations are made for a class:
one gives it all uncertain voxels that are connected to it, the other takes all from it that are connected to its
neighbour; up to 8 voxels deep. The measures of both, and of the segmentation itself, span the range. It holds errors
that the planes do not share; what all planes get wrong together is not in it, so it is not a confidence interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.disagreement import require_covered, require_parts_of_planes
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io.itk_image import itk_image
from MgImplantSegLib.quantification.codes import BACKGROUND, BONE, LAYER, METAL
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.measures.bone_volume import bone_volume
from MgImplantSegLib.quantification.measures.contact import contact
from MgImplantSegLib.quantification.measures.degradation import degradation, volumes
from MgImplantSegLib.quantification.results import Measure

LEAST_DISAGREEMENT = 1 / 3
REACH_VOXELS = 8
SYMBOLS = ("V_r", "DR", "VL", "BIC", "BV/TV")
METHOD_OF_RANGE = (
    "range: uncertain voxels, on which at least a third of the planes disagree, all given to and all taken from the {}"
)

# What a class is exchanged with, its name, and the measures that depend on it.
EXCHANGES: tuple[tuple[int, int, str, tuple[Callable[[MeasureContext], Iterable[Measure]], ...]], ...] = (
    (METAL, LAYER, "residual material", (volumes, degradation)),
    (BONE, BACKGROUND, "bone", (contact, bone_volume)),
)


def with_ranges(measures: tuple[Measure, ...], context: MeasureContext) -> tuple[Measure, ...]:
    """The measures with `low` and `high`, where the disagreement of planes says something about them.

    Raises InputError if the disagreement is not one of this segmentation: a wrong one would make ranges too narrow.
    """
    disagreement = present(context.options.disagreement)
    require_parts_of_planes(disagreement)
    if context.implant_box is not None:
        require_covered(disagreement, context.geometry, context.implant_box)
    uncertain = uncertain_voxels(disagreement, context.geometry)
    for code, other, name, groups in EXCHANGES:
        extremes = [
            context.with_codes(exchanged(context.codes, uncertain, taken, given))
            for taken, given in ((code, other), (other, code))
        ]
        found = [{_key(m): m.value for group in groups for m in group(extreme)} for extreme in extremes]
        measures = tuple(_with_range(measure, found, name) for measure in measures)
    return measures


def uncertain_voxels(disagreement: Volume, geometry: Geometry) -> np.ndarray:
    """Boolean array (z, y, x) on a grid, True where at least a third of the planes disagree with the label."""
    array, place = disagreement.array, disagreement.geometry
    if not place.same_grid(geometry):
        image = sitk.Resample(
            itk_image(np.asarray(array, dtype=np.float32), place),
            geometry.shape_zyx[::-1],
            sitk.Transform(),
            sitk.sitkLinear,
            geometry.origin_lps_mm,
            geometry.spacing_zyx_mm[::-1],
            geometry.direction_lps,
            0.0,
            sitk.sitkFloat32,
        )
        array = sitk.GetArrayViewFromImage(image)
    uncertain = np.empty(geometry.shape_zyx, dtype=bool)
    for part in slabs(uncertain.shape):
        uncertain[part] = array[part] >= LEAST_DISAGREEMENT - 1e-3
    return uncertain


def exchanged(codes: np.ndarray, uncertain: np.ndarray, taken: int, given: int) -> np.ndarray:
    """Codes in which uncertain voxels of the class `taken`, within reach of the class `given`, belong to that."""
    candidates = uncertain & (codes == taken)
    reached = codes == given
    structure = ndimage.generate_binary_structure(3, 3)
    reached = ndimage.binary_dilation(reached, structure, iterations=REACH_VOXELS, mask=candidates | reached)
    return np.where(candidates & reached, np.uint8(given), codes)


def _key(measure: Measure) -> tuple[str, str]:
    return measure.symbol, measure.region


def _with_range(measure: Measure, found: list[dict[tuple[str, str], float]], name: str) -> Measure:
    if measure.symbol not in SYMBOLS or not all(_key(measure) in values for values in found):
        return measure
    values = [measure.value, *(extreme[_key(measure)] for extreme in found)]
    if not np.isfinite(values).all():
        return measure
    method = f"{measure.method}; {METHOD_OF_RANGE.format(name)}"
    return replace(measure, low=min(values), high=max(values), method=method)
