"""Rigid registration of the screw before implantation to the explant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.boxes import bounding_box, grown, intersection, shape_of, start_of, whole
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.quantification.codes import IMPLANT, METAL, UNKNOWN, count_codes, implant_in, role_codes
from MgImplantSegLib.quantification.common_part import box_around
from MgImplantSegLib.quantification.screw.initial import InitialScrew
from MgImplantSegLib.quantification.screw.registration_steps import (
    best_starts,
    distance_pair,
    refined,
    refined_on_greys,
    starts,
)
from MgImplantSegLib.quantification.screw.rigid_transform import require_rigid
from MgImplantSegLib.quantification.screw.screw_body import ScrewBody, body_of_mask, body_of_shape
from MgImplantSegLib.quantification.screw.screw_shape import LabelMapShape, MeshShape
from MgImplantSegLib.quantification.screw.screw_size import require_plausible_size, wrong_size

STARTS_REFINED = 4
LEAST_DICE = 0.5
NOTABLY_BETTER = 0.01  # of Dice, between the place found and the one that the screw had
FAILED_DICE, FAILED_INSIDE_PERCENT = 0.02, 10.0
COARSE_VOXELS, FINE_VOXELS = 40, 112
COARSE_SAMPLES, FINE_SAMPLES = 4_000, 20_000
MARGIN_PART, MARGIN_VOXELS = 8, 6


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """Where the initial screw lies in the explant.

    Parameters
    ----------
    matrix : float array (4, 4)
        From the initial screw's LPS space to the explant's.
    dice : float
        Overlap of the moved initial screw with the implant (DL ∪ RM), from 0 to 1.
    residual_inside_percent : float
        The part of the residual material that lies inside the moved screw; NaN without residual material.
    method : str
        What was optimised.
    """

    matrix: np.ndarray
    dice: float
    residual_inside_percent: float
    method: str

    @property
    def doubt(self) -> str:
        """A sentence where screw and implant overlap so little that somebody has to look; else empty."""
        if self.dice >= LEAST_DICE:
            return ""
        return (
            f"Screw and implant overlap little after the registration (Dice {self.dice:.2f}): inspect the result, "
            "and check the unit and the voxel size of the screw."
        )


def register_screw(
    initial: InitialScrew,
    explant: LabelMap,
    events: Events | None = None,
    *,
    grey_values: tuple[Volume, Volume] | None = None,
) -> RegistrationResult:
    """Find the rotation and shift that put the initial screw onto the explant's implant.

    Starts from the principal axes of both, either way up, with ends or middles together, in turns about the axis. The
    best starts are refined on distance maps of the masks, coarse then fine, and, if grey values are given, on these by
    mutual information. A screw that overlaps the implant more as it is placed stays there. Raises InputError if the
    initial screw has no shape or the explant no implant, or they cannot be brought to overlap.

    Parameters
    ----------
    initial : InitialScrew
        With a shape.
    grey_values : tuple of Volume, optional
        Images of the screw before implantation, in the space of `initial`, and of the explant.
    """
    if initial.shape is None:
        raise InputError("Expected a screw with a shape to register, got only numbers.", "Give a file with its shape.")
    codes = role_codes(explant)
    fixed = _implant_body(codes, explant.geometry)
    require_plausible_size(initial.shape, fixed.axis, explant.geometry)
    moving = body_of_shape(initial.shape, fixed.size_mm / FINE_VOXELS)
    with (events or Events()).task("register", STARTS_REFINED + 3) as task:
        coarse = distance_pair(fixed, moving, fixed.size_mm / COARSE_VOXELS, COARSE_SAMPLES)
        chosen = best_starts(coarse, starts(fixed, moving), STARTS_REFINED)
        task.advance()
        candidates = []
        for matrix in chosen:
            candidates.append(refined(coarse, matrix))
            task.advance()
        _, matrix = min(candidates, key=lambda candidate: candidate[0])
        fine = distance_pair(fixed, moving, fixed.size_mm / FINE_VOXELS, FINE_SAMPLES)
        _, matrix = refined(fine, matrix)
        task.advance()
        method = "screw axes, then distance maps of the masks"
        if grey_values is not None:
            matrix, method = refined_on_greys(*grey_values, fixed, matrix), f"{method}, then mutual information"
    matrix = require_rigid(matrix)
    dice, inside_percent = _agreement(initial.shape.moved(matrix), codes, explant.geometry)
    as_placed = _agreement(initial.shape, codes, explant.geometry)
    if as_placed[0] > dice + NOTABLY_BETTER:  # it lay well already, and what is left of it points elsewhere
        matrix, (dice, inside_percent), method = np.eye(4), as_placed, "as placed, nothing found that overlaps more"
    if dice < FAILED_DICE and not inside_percent > FAILED_INSIDE_PERCENT:
        raise wrong_size(initial.shape, fixed.axis, explant.geometry, ", and no place where it overlaps the implant")
    return RegistrationResult(matrix, dice, inside_percent, method)


def _implant_body(codes: np.ndarray, geometry: Geometry) -> ScrewBody:
    """The explant's implant with a margin, as far as the volume goes."""
    box = bounding_box(codes, *IMPLANT)
    if box is None:
        raise InputError("Expected an implant to register to, found none.", "Check the segmentation and its roles.")
    margin = max(MARGIN_VOXELS, max(shape_of(box)) // MARGIN_PART)
    box = grown(box, margin, codes.shape)
    place = geometry.cropped(start_of(box), shape_of(box))
    return body_of_mask(implant_in(codes[box]), codes[box] != UNKNOWN, place, FINE_VOXELS)


def _agreement(shape: LabelMapShape | MeshShape, codes: np.ndarray, geometry: Geometry) -> tuple[float, float]:
    """Dice with the implant, and the part of the residual material inside in %, where the explant's scan has seen."""
    box = intersection(box_around(shape.corners_lps_mm, geometry), whole(codes.shape))
    voxels = count_codes(codes)
    implant_voxels, metal_voxels = int(voxels[list(IMPLANT)].sum()), int(voxels[METAL])
    if min(shape_of(box)) < 1:
        return 0.0, 0.0 if metal_voxels else float("nan")
    screw = shape.mask_on(geometry.cropped(start_of(box), shape_of(box))) & (codes[box] != UNKNOWN)
    common = int(np.count_nonzero(screw & implant_in(codes[box])))
    metal = int(np.count_nonzero(screw & (codes[box] == METAL)))
    dice = 2 * common / (int(np.count_nonzero(screw)) + implant_voxels)
    return dice, 100 * metal / metal_voxels if metal_voxels else float("nan")
