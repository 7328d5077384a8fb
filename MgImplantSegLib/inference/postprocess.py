"""What is tidied up in a predicted label map. A new way is one entry of `POSTPROCESSING`.

Voxels that lose their label get the most probable of the labels they may still have, so a speck of "implant" in bone
becomes bone and not a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.choices import Registry
from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.boxes import bounding_box, grown
from MgImplantSegLib.grids.labels import IMPLANT_ROLES, LabelScheme, Role
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB
from MgImplantSegLib.inference.fused import FusedPrediction

SMALLEST_PART_OF_LARGEST = 0.05
SMALLEST_BONE_VOXELS = 27
LEAST_BALL_RADIUS_VOXELS = 7
SKIN_VOXELS = 2.5
FOOT_VOXELS = 4
TOUCHING = np.ones((3, 3, 3), dtype=bool)

Tidy = Callable[[np.ndarray, FusedPrediction, LabelScheme], None]


@dataclass(frozen=True)
class Postprocessing:
    """A way to tidy up.

    Parameters
    ----------
    name, definition : str
        What it is called and what it does.
    tidy : callable
        Changes class indices (z, y, x), uint8, in place, given the prediction and what the classes mean.
    """

    name: str
    definition: str
    tidy: Tidy


def _keep_all(classes_zyx: np.ndarray, prediction: FusedPrediction, scheme: LabelScheme) -> None:
    """Leave the labels as they are."""


def _keep_largest_implant(classes_zyx: np.ndarray, prediction: FusedPrediction, scheme: LabelScheme) -> None:
    implant = _classes_of(scheme, IMPLANT_ROLES)
    _drop_parts(classes_zyx, prediction, implant, _is_small_beside_the_largest)


def _keep_solid_implant(classes_zyx: np.ndarray, prediction: FusedPrediction, scheme: LabelScheme) -> None:
    _drop_parts(classes_zyx, prediction, _classes_of(scheme, IMPLANT_ROLES), _is_thin)
    _keep_largest_implant(classes_zyx, prediction, scheme)


def _take_skin_off(classes_zyx: np.ndarray, prediction: FusedPrediction, scheme: LabelScheme) -> None:
    _keep_solid_implant(classes_zyx, prediction, scheme)
    bone = _classes_of(scheme, (Role.BONE,))
    implant = _mask_of(classes_zyx, _classes_of(scheme, IMPLANT_ROLES))
    if implant.any():
        skin = np.zeros(implant.shape, dtype=bool)
        box = grown(present(bounding_box(implant)), 2 * FOOT_VOXELS + 1, implant.shape)
        skin[box] = _skin_on(implant[box], _mask_of(classes_zyx[box], bone))
        _give_next_class(classes_zyx, prediction, skin, bone)


def _clean_contact(classes_zyx: np.ndarray, prediction: FusedPrediction, scheme: LabelScheme) -> None:
    _take_skin_off(classes_zyx, prediction, scheme)
    background = _classes_of(scheme, (Role.BACKGROUND,))
    implant = _mask_of(classes_zyx, _classes_of(scheme, IMPLANT_ROLES))
    if implant.any():
        film, box = np.zeros(implant.shape, dtype=bool), grown(present(bounding_box(implant)), 2, implant.shape)
        empty, bone = (
            _mask_of(classes_zyx[box], classes) for classes in (background, _classes_of(scheme, (Role.BONE,)))
        )
        film[box] = _film_between(empty, implant[box], bone)
        _give_next_class(classes_zyx, prediction, film, background)


def _remove_specks(classes_zyx: np.ndarray, prediction: FusedPrediction, scheme: LabelScheme) -> None:
    _keep_largest_implant(classes_zyx, prediction, scheme)
    bone = _classes_of(scheme, (Role.BONE,))
    _drop_parts(classes_zyx, prediction, bone, lambda parts, count: _sizes(parts, count) < SMALLEST_BONE_VOXELS)


POSTPROCESSING: Registry[Postprocessing] = Registry(
    "a post-processing",
    {
        "none": Postprocessing("none", "labels stay as predicted", _keep_all),
        "largest_implant": Postprocessing(
            "largest implant",
            "keeps only those connected components (26 neighbours) of the implant (layer and metal together) that have "
            f"at least {100 * SMALLEST_PART_OF_LARGEST:g} % of the voxels of the largest one",
            _keep_largest_implant,
        ),
        "solid_implant": Postprocessing(
            "solid implant",
            "as largest_implant, and also removes components of the implant that cannot contain a ball with a radius "
            f"of {LEAST_BALL_RADIUS_VOXELS} voxels of the model's grid: a scan of bone alone then has no implant",
            _keep_solid_implant,
        ),
        "no_bone_skin": Postprocessing(
            "no skin of bone",
            f"as solid_implant, and also removes bone within {SKIN_VOXELS:g} voxels of the model's grid from the "
            "implant "
            f"unless {FOOT_VOXELS} steps through bone lead more than {FOOT_VOXELS} voxels away: the blurred surface of "
            "the layer looks like a skin of bone, which would raise bone-to-implant contact; the foot of a trabecula "
            "is kept",
            _take_skin_off,
        ),
        "clean_contact": Postprocessing(
            "clean contact",
            "as no_bone_skin, and background one voxel of the model's grid wide that lies between implant and bone "
            "along an axis becomes the most probable other class: a gap that thin cannot be distinguished from a "
            "blurred edge",
            _clean_contact,
        ),
        "no_specks": Postprocessing(
            "no specks",
            f"as largest_implant, and also removes components of bone with fewer than {SMALLEST_BONE_VOXELS} voxels",
            _remove_specks,
        ),
    },
)


def _classes_of(scheme: LabelScheme, roles: Sequence[Role]) -> list[int]:
    return [index for index, label in enumerate(scheme.labels) if label.role in roles]


def _mask_of(classes_zyx: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Boolean array (z, y, x), True where a voxel has one of the classes."""
    is_one = np.zeros(256, dtype=bool)
    is_one[list(classes)] = True
    return is_one[classes_zyx]


def _sizes(parts: np.ndarray, count: int) -> np.ndarray:
    """Voxels of the parts 1 to `count`."""
    return np.bincount(parts.ravel(), minlength=count + 1)[1:]


def _is_small_beside_the_largest(parts: np.ndarray, count: int) -> np.ndarray:
    sizes = _sizes(parts, count)
    return sizes < SMALLEST_PART_OF_LARGEST * sizes.max()


def _is_thin(parts: np.ndarray, count: int) -> np.ndarray:
    """Whether no ball fits; the border of the volume is not a surface of a part that it cuts."""
    if parts.all():
        return np.zeros(count, dtype=bool)
    radii = ndimage.maximum(ndimage.distance_transform_edt(parts), parts, np.arange(1, count + 1))
    return np.asarray(radii) < LEAST_BALL_RADIUS_VOXELS


def _drop_parts(
    classes_zyx: np.ndarray,
    prediction: FusedPrediction,
    classes: Sequence[int],
    is_dropped: Callable[[np.ndarray, int], np.ndarray],
) -> None:
    """Give voxels of some connected parts of `classes`, taken together, the most probable other class.

    `is_dropped` gets the numbered parts (z, y, x) and their count; it says for each of the parts 1, 2, … if it goes.
    """
    mask = _mask_of(classes_zyx, classes)
    if not mask.any():
        return
    inside = grown(present(bounding_box(mask)), 1, mask.shape)
    parts, count = ndimage.label(mask[inside], structure=TOUCHING)
    goes = np.concatenate(([False], is_dropped(parts, count)))
    if goes.any():
        mask[:] = False
        mask[inside] = goes[parts]
        _give_next_class(classes_zyx, prediction, mask, classes)


def _skin_on(implant: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """Bone on the implant from which no short way through bone leads away from it; worked out slab by slab of z."""
    skin, halo = np.zeros(bone.shape, dtype=bool), 2 * FOOT_VOXELS + 1
    for slab in slabs(bone.shape, VOXELS_PER_SLAB):
        first = max(slab.start - halo, 0)
        around, inner = slice(first, slab.stop + halo), slice(slab.start - first, slab.stop - first)
        if implant[around].any():
            distance = ndimage.distance_transform_edt(~implant[around])
            away = bone[around] & (distance > FOOT_VOXELS)
            feet = ndimage.binary_dilation(away, TOUCHING, iterations=FOOT_VOXELS, mask=bone[around])
            skin[slab] = (bone[around] & (distance <= SKIN_VOXELS) & ~feet)[inner]
    return skin


def _film_between(empty: np.ndarray, implant: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """Empty voxels with implant before and bone behind them along an axis of the grid, or the other way round."""
    film = np.zeros(empty.shape, dtype=bool)
    for axis in range(3):
        before, here, behind = ((slice(None),) * axis + (part,) for part in (slice(-2), slice(1, -1), slice(2, None)))
        film[here] |= implant[before] & bone[behind] | bone[before] & implant[behind]
    return film & empty


def _give_next_class(
    classes_zyx: np.ndarray, prediction: FusedPrediction, mask: np.ndarray, excluded: Sequence[int]
) -> None:
    for slab in slabs(classes_zyx.shape, VOXELS_PER_SLAB):
        chosen = mask[slab]
        if chosen.any():
            scores = prediction.scores(slab)[:, chosen]
            scores[list(excluded)] = -1
            classes_zyx[slab][chosen] = scores.argmax(axis=0)
