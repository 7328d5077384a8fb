"""Errors of surface areas and contact areas on shapes of known surface, by every method and by other libraries.

    python Testing/Benchmarks/surface_area.py [--markdown] [--morphometry]

Shapes are voxelised off the grid's symmetry points, isotropic and with voxels twice and three times as high as wide;
radii are in units of the widest voxel. Columns of SimpleITK, scikit-image, porespy and itk-bonemorphometry appear where
these packages are installed; the project itself does not need them.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.quantification import SURFACE_METHODS, surface_area_mm2
from MgImplantSegLib.quantification.measures.local_thickness import thickness_of

SPACINGS = {"1:1:1": (1.0, 1.0, 1.0), "2:1:1": (2.0, 1.0, 1.0), "1:1:3": (1.0, 1.0, 3.0)}
OFFSET = np.array([0.123, 0.234, 0.345])
OBLIQUE = np.array([0.48, 0.6, 0.64])
Spacing = tuple[float, float, float]


def positions(extent: float, spacing: Spacing) -> np.ndarray:
    """Voxel positions (z, y, x, 3) in a cube of an extent, off the middle."""
    axes = [(np.arange(round(extent / s) + 8) - (round(extent / s) + 7) / 2) * s for s in spacing]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) - OFFSET * spacing


def ball(radius: float, spacing: Spacing) -> tuple[np.ndarray, float]:
    """A ball and its surface."""
    return np.linalg.norm(positions(2 * radius, spacing), axis=-1) <= radius, 4 * math.pi * radius**2


def ellipsoid(radius: float, spacing: Spacing) -> tuple[np.ndarray, float]:
    """An ellipsoid with half axes r, 1.5 r and 2 r, and its surface by numerical integration."""
    axes = radius * np.array([2.0, 1.5, 1.0])
    inside = (np.square(positions(4 * radius, spacing) / axes).sum(axis=-1)) <= 1
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, 801), np.linspace(0, 2 * np.pi, 1601), indexing="ij")
    normal = np.array(
        [
            axes[1] * axes[2] * np.cos(polar),
            axes[0] * axes[2] * np.sin(polar) * np.cos(azimuth),
            axes[0] * axes[1] * np.sin(polar) * np.sin(azimuth),
        ]
    )
    density = np.linalg.norm(normal, axis=0) * np.sin(polar)
    return inside, float(np.trapezoid(np.trapezoid(density, azimuth[0], axis=1), polar[:, 0]))


def cylinder(radius: float, spacing: Spacing, direction: np.ndarray) -> tuple[np.ndarray, float]:
    """A cylinder 2.5 radii long along a direction, and its surface."""
    position = positions(3.4 * radius, spacing)
    along = position @ direction
    across = np.linalg.norm(position - along[..., None] * direction, axis=-1)
    return (across <= radius) & (np.abs(along) <= 1.25 * radius), 2 * math.pi * radius * (radius + 2.5 * radius)


def box(radius: float, spacing: Spacing) -> tuple[np.ndarray, float]:
    """A box along the grid with edges 2 r, 2.5 r and 3 r to whole voxels, and its surface."""
    voxels = [round(edge * radius / s) for edge, s in zip((2, 2.5, 3), spacing, strict=True)]
    z, y, x = (n * s for n, s in zip(voxels, spacing, strict=True))
    return np.pad(np.ones(voxels, dtype=bool), 4), 2 * (z * y + y * x + z * x)


def screw(radius: float, spacing: Spacing) -> tuple[np.ndarray, float]:
    """A helical thread of triangular profile: depth 0.2 r, pitch 0.6 r, length 2.5 r; surface of its formula."""
    position = positions(3.0 * radius, spacing)
    z, y, x = np.moveaxis(position, -1, 0)
    pitch, depth, length = 0.6 * radius, 0.2 * radius, 2.5 * radius
    phase = (z / pitch - np.arctan2(y, x) / (2 * np.pi)) % 1
    outline = radius - depth * (1 - np.abs(2 * phase - 1))
    u = (np.arange(4000) + 0.5) / 4000
    profile = radius - depth * (1 - np.abs(2 * u - 1))
    slope = 2 * depth * np.sign(u - 0.5)
    side = np.sqrt(profile**2 * (1 + (slope / pitch) ** 2) + (slope / (2 * np.pi)) ** 2).mean()
    area = 2 * np.pi * length * side + 2 * np.pi * np.mean(profile**2)
    return (np.hypot(y, x) <= outline) & (np.abs(z) <= length / 2), float(area)


SHAPES: dict[str, Callable[[float, Spacing], tuple[np.ndarray, float]]] = {
    "ball": ball,
    "ellipsoid": ellipsoid,
    "cylinder along z": lambda r, s: cylinder(r, s, np.array([1.0, 0, 0])),
    "cylinder along x": lambda r, s: cylinder(r, s, np.array([0, 0, 1.0])),
    "cylinder, oblique": lambda r, s: cylinder(r, s, OBLIQUE / np.linalg.norm(OBLIQUE)),
    "box along the grid": box,
    "threaded screw": screw,
}


def simpleitk_area(mask: np.ndarray, spacing: Spacing) -> float:
    """Perimeter of SimpleITK's label shape statistics (Crofton)."""
    image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputePerimeterOn()
    statistics.Execute(image)
    return statistics.GetPerimeter(1)


def scikit_image_area(mask: np.ndarray, spacing: Spacing) -> float:
    """Marching cubes of scikit-image on the mask."""
    from skimage import measure

    points, faces, _, _ = measure.marching_cubes(np.pad(mask, 1).astype(float), 0.5, spacing=spacing)
    return measure.mesh_surface_area(points, faces)


def porespy_area(mask: np.ndarray, spacing: Spacing) -> float:
    """Surface of porespy's region, which smooths the mask; isotropic voxels only."""
    import porespy

    if len(set(spacing)) > 1:
        return float("nan")
    areas = porespy.metrics.region_surface_areas(np.pad(mask, 3).astype(int), voxel_size=spacing[0])
    return float(np.ravel(areas)[0])


def bone_morphometry_area(mask: np.ndarray, spacing: Spacing) -> float:
    """BS of itk-bonemorphometry: BS/BV times the volume."""
    import itk

    image = itk.image_from_array(np.pad(mask, 1).astype(np.float32))
    image.SetSpacing([float(s) for s in spacing[::-1]])
    features = itk.BoneMorphometryFeaturesFilter.New(image)
    features.SetThreshold(0.5)
    features.Update()
    return features.GetBSBV() * float(mask.sum()) * math.prod(spacing)


OTHERS = {
    "SimpleITK": ("SimpleITK", simpleitk_area),
    "scikit-image": ("skimage", scikit_image_area),
    "porespy": ("porespy", porespy_area),
    "itk-bonemorphometry": ("itk.BoneMorphometryPython", bone_morphometry_area),
}


def is_installed(module: str) -> bool:
    """Whether a package can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def columns() -> dict[str, Callable[[np.ndarray, Spacing], float]]:
    """The project's methods, then the other libraries that are installed."""
    own = {key: lambda mask, spacing, key=key: surface_area_mm2(mask, spacing, key) for key in SURFACE_METHODS}
    return own | {name: area for name, (module, area) in OTHERS.items() if is_installed(module)}


def rows(methods: dict[str, Callable[[np.ndarray, Spacing], float]]) -> Iterator[list[str]]:
    """One row per shape, radius and spacing: errors in % of every method."""
    for name, spacing in SPACINGS.items():
        for shape, make in SHAPES.items():
            for radius in (10, 20):
                mask, exact = make(radius * max(spacing), spacing)
                errors = [100 * (area(mask, spacing) / exact - 1) for area in methods.values()]
                yield [f"{shape}, r {radius}", name, *(f"{error:+.1f}" if error == error else "–" for error in errors)]


def thickness_rows() -> Iterator[list[str]]:
    """Mean local thickness of plates, rods and balls against their true thickness, and porespy's."""
    cases = {
        "plate of 8 layers": (np.pad(np.ones((8, 60, 60), bool), ((8, 8), (0, 0), (0, 0))), 8.0),
        "plate of 9 layers": (np.pad(np.ones((9, 60, 60), bool), ((8, 8), (0, 0), (0, 0))), 9.0),
        "ball, r 12": (ball(12, (1.0, 1.0, 1.0))[0], 24.0),
        "oblique cylinder, r 8": (cylinder(8, (1.0, 1.0, 1.0), OBLIQUE / np.linalg.norm(OBLIQUE))[0], 16.0),
    }
    for name, (mask, exact) in cases.items():
        thickness = thickness_of(mask, ~mask, np.full((1, 1, 1), np.inf), (1.0, 1.0, 1.0)).diameter_mm
        row = [name, f"{exact:.0f}", f"{thickness[mask].mean():.2f}"]
        if is_installed("porespy"):
            import porespy

            row.append(f"{2 * porespy.filters.local_thickness(mask, sizes=40)[mask].mean():.2f}")
        yield row


def print_table(header: list[str], table: Iterator[list[str]], markdown: bool) -> None:
    """A table in columns, or in Markdown."""
    if markdown:
        say("| " + " | ".join(header) + " |")
        say("|" + "---|" * len(header))
    else:
        say("".join(f"{cell:>22}" for cell in header))
    for row in table:
        say("| " + " | ".join(row) + " |" if markdown else "".join(f"{cell:>22}" for cell in row))


def say(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Errors of surfaces, then of the local thickness if asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="a table for the documentation")
    parser.add_argument("--morphometry", action="store_true", help="the local thickness too")
    arguments = parser.parse_args()
    methods = columns()
    say("Error of the surface area in %")
    print_table(["shape", "voxels z:y:x", *methods], rows(methods), arguments.markdown)
    if arguments.morphometry:
        say("\nMean local thickness in voxels")
        names = ["body", "true", "largest spheres", *(["porespy"] if is_installed("porespy") else [])]
        print_table(names, thickness_rows(), arguments.markdown)


if __name__ == "__main__":
    main()
