"""Steps of a rigid registration with SimpleITK: starts from axes, refinement on distance maps and on grey values."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io.itk_image import itk_image
from MgImplantSegLib.quantification.screw.rigid_transform import rigid_matrix, rotation_between
from MgImplantSegLib.quantification.screw.screw_body import ScrewBody

TURNS = 12
REACH_VOXELS = 5.0
ITERATIONS = 100
GREY_BINS, GREY_SAMPLING, SEED = 48, 0.2, 20211


@dataclass(frozen=True, eq=False)
class DistancePair:
    """Distance maps, clamped to a reach, of explant and initial screw, and where the explant's counts."""

    fixed: sitk.Image
    fixed_mask: sitk.Image
    moving: sitk.Image
    centre_lps_mm: tuple[float, float, float]
    spacing_mm: float
    samples: int


def starts(fixed: ScrewBody, moving: ScrewBody) -> Iterator[np.ndarray]:
    """4×4 matrices that put the axes together, either way up, ends or middles together, in turns about the axis."""
    axis = np.array(fixed.axis.direction_lps)
    for up, turn in itertools.product((1, -1), np.arange(TURNS) * 2 * np.pi / TURNS):
        rotation = _turn_about(axis, turn) @ rotation_between(np.array(moving.axis.direction_lps), up * axis)
        ends = sorted(up * end for end in moving.ends_mm)
        low, high = fixed.ends_mm[0] - ends[0], fixed.ends_mm[1] - ends[1]
        for shift in (low, (low + high) / 2, high):
            target = np.array(fixed.axis.centre_lps_mm) + shift * axis
            yield rigid_matrix(rotation, target - rotation @ moving.axis.centre_lps_mm)


def distance_pair(fixed: ScrewBody, moving: ScrewBody, spacing_mm: float, samples: int) -> DistancePair:
    """Both bodies as clamped distance maps with voxels of about `spacing_mm`, to be compared at `samples` points.

    The explant's is not continued beyond its border, where a cut screw has no surface; the initial screw's is, so that
    every point of the explant finds a value.
    """
    fixed, moving = fixed.reduced(spacing_mm), moving.reduced(spacing_mm)
    reach_mm = REACH_VOXELS * spacing_mm
    margin = [int(np.ceil(fixed.size_mm / 2 / spacing)) for spacing in moving.geometry.spacing_zyx_mm]
    padded = np.pad(moving.mask, [(m, m) for m in margin])
    place = moving.geometry.cropped([-m for m in margin], padded.shape)
    return DistancePair(
        _clamped_distance(itk_image(fixed.mask.astype(np.uint8), fixed.geometry), reach_mm),
        itk_image(fixed.known.astype(np.uint8), fixed.geometry),
        _clamped_distance(itk_image(padded.astype(np.uint8), place), reach_mm),
        fixed.axis.centre_lps_mm,
        spacing_mm,
        samples,
    )


def best_starts(pair: DistancePair, matrices: Iterable[np.ndarray], count: int) -> list[np.ndarray]:
    """The `count` matrices with the most similar distance maps, best first."""
    registration = _registration(pair)
    scored = []
    for number, matrix in enumerate(matrices):
        registration.SetInitialTransform(_euler(matrix, pair.centre_lps_mm))
        scored.append((registration.MetricEvaluate(pair.fixed, pair.moving), number, matrix))
    return [matrix for _, _, matrix in sorted(scored, key=lambda entry: entry[:2])[:count]]


def refined(pair: DistancePair, matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean squared difference of the distance maps at its minimum near a matrix, and the matrix there."""
    registration = _registration(pair)
    _set_optimizer(registration, pair.spacing_mm)
    transform = _euler(matrix, pair.centre_lps_mm)
    registration.SetInitialTransform(transform, inPlace=True)
    registration.Execute(pair.fixed, pair.moving)
    return registration.GetMetricValue(), _matrix_of(transform)


def refined_on_greys(initial: Volume, explant: Volume, fixed: ScrewBody, matrix: np.ndarray) -> np.ndarray:
    """The matrix near the given one at which the grey values of both scans share the most information."""
    registration = sitk.ImageRegistrationMethod()
    registration.SetNumberOfThreads(1)
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetMetricAsMattesMutualInformation(GREY_BINS)
    registration.SetMetricSamplingStrategy(registration.RANDOM)
    registration.SetMetricSamplingPercentage(GREY_SAMPLING, SEED)
    region = sitk.Resample(
        itk_image(np.ones(fixed.mask.shape, dtype=np.uint8), fixed.geometry),
        itk_image(np.zeros(explant.array.shape, dtype=np.uint8), explant.geometry),
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        0,
    )
    registration.SetMetricFixedMask(region)
    _set_optimizer(registration, min(explant.geometry.spacing_zyx_mm))
    transform = _euler(matrix, fixed.axis.centre_lps_mm)
    registration.SetInitialTransform(transform, inPlace=True)
    images = (itk_image(volume.array.astype(np.float32), volume.geometry) for volume in (explant, initial))
    registration.Execute(*images)
    return _matrix_of(transform)


def _registration(pair: DistancePair) -> sitk.ImageRegistrationMethod:
    registration = sitk.ImageRegistrationMethod()
    registration.SetNumberOfThreads(1)  # the same result on every machine, and no waiting for few samples
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetMetricAsMeanSquares()
    registration.MetricUseFixedImageGradientFilterOff()
    registration.MetricUseMovingImageGradientFilterOff()
    registration.SetMetricFixedMask(pair.fixed_mask)
    registration.SetMetricSamplingStrategy(registration.RANDOM)
    registration.SetMetricSamplingPercentage(min(1.0, pair.samples / pair.fixed.GetNumberOfPixels()), SEED)
    return registration


def _set_optimizer(registration: sitk.ImageRegistrationMethod, spacing_mm: float) -> None:
    registration.SetOptimizerAsRegularStepGradientDescent(
        learningRate=spacing_mm,
        minStep=spacing_mm / 200,
        numberOfIterations=ITERATIONS,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-12,
    )
    registration.SetOptimizerScalesFromPhysicalShift()


def _clamped_distance(mask: sitk.Image, reach_mm: float) -> sitk.Image:
    signed = sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return sitk.Clamp(signed, sitk.sitkFloat32, -reach_mm, reach_mm)


def _turn_about(axis: np.ndarray, angle: float) -> np.ndarray:
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _euler(matrix: np.ndarray, centre_lps_mm: tuple[float, float, float]) -> sitk.Euler3DTransform:
    """ITK's transform from the explant's points to the initial screw's, turning about a centre."""
    inverse = np.linalg.inv(matrix)
    left, _, right = np.linalg.svd(inverse[:3, :3])
    inverse[:3, :3] = left @ right  # free of rounding, which ITK refuses
    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre_lps_mm)
    transform.SetMatrix(inverse[:3, :3].ravel().tolist(), 1e-6)
    centre = np.array(centre_lps_mm)
    transform.SetTranslation((inverse[:3, 3] + inverse[:3, :3] @ centre - centre).tolist())
    return transform


def _matrix_of(transform: sitk.Euler3DTransform) -> np.ndarray:
    """The 4×4 matrix from the initial screw to the explant."""
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    return np.linalg.inv(rigid_matrix(rotation, np.array(transform.TransformPoint((0.0, 0.0, 0.0)))))
