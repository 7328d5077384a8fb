"""The picture of three cuts: the right voxels at the right place, whatever the volume."""

import numpy as np
import pytest
from PIL import Image

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.scene.slices import centre_zyx, draw_slices


def pair(image, labels, spacing=(1.0, 1.0, 1.0)):
    geometry = Geometry(image.shape, spacing)
    return Volume(image, geometry), LabelMap(labels.astype(np.uint8), geometry)


def drawn(tmp_path, *args, dpi=60, **kwargs):
    path = draw_slices(*args, tmp_path / "slices.png", dpi=dpi, **kwargs)
    return np.array(Image.open(path).convert("RGB")).astype(int)


def colored_columns(pixels, color_rgb):
    """Which columns of the picture have a pixel of a class's colour, above the legend."""
    above_the_legend = pixels[: int(0.93 * len(pixels))]
    return (np.abs(above_the_legend - np.array(color_rgb) * 255).max(axis=2) < 12).any(axis=0)


def test_the_cuts_go_through_the_middle_of_the_implant_else_of_the_bone_else_of_the_volume():
    labels = np.zeros((10, 12, 14), np.uint8)
    geometry = Geometry(labels.shape)
    assert centre_zyx(LabelMap(labels, geometry)) == (5, 6, 7)
    labels[1:4, 2:5, 3:6] = 1
    assert centre_zyx(LabelMap(labels, geometry)) == (2, 3, 4)
    labels[6:9, 5:8, 10:13] = 3
    assert centre_zyx(LabelMap(labels, geometry)) == (7, 6, 11)


def test_a_class_is_coloured_in_the_cuts_that_meet_it_only(tmp_path):
    labels = np.zeros((30, 30, 30))
    labels[2:8, 10:20, 10:20] = 3  # low in z: the cut across z at 25 misses it
    volume, label_map = pair(np.zeros(labels.shape, np.uint8), labels)
    columns = colored_columns(
        drawn(tmp_path, volume, label_map, at_zyx=(25, 15, 15), dpi=150), label_map.scheme.labels[3].color_rgb
    )
    thirds = [part.any() for part in np.array_split(columns, 3)]
    assert thirds == [False, True, True]


def test_the_legend_names_only_what_is_seen(tmp_path):
    labels = np.zeros((30, 30, 30))
    labels[10:20, 10:20, 10:20] = 1
    volume, label_map = pair(np.zeros(labels.shape, np.uint8), labels)
    pixels = drawn(tmp_path, volume, label_map)
    legend = pixels[int(0.93 * len(pixels)) :]
    shown = [
        (np.abs(legend - np.array(label.color_rgb) * 255).max(axis=2) < 3).any() for label in label_map.scheme.segments
    ]
    assert shown == [True, False, False]


def test_panels_are_as_wide_as_the_volume_is_in_millimetres(tmp_path):
    image = np.indices((40, 20, 10)).sum(axis=0) % 2  # 40 × 60 × 60 mm
    image[:3, :3, :3] = 3  # whiter than what the cuts meet
    volume, label_map = pair(image, np.zeros(image.shape), spacing=(1.0, 3.0, 6.0))
    pixels = drawn(tmp_path, volume, label_map)
    is_panel = (pixels[: len(pixels) // 3] < 250).all(axis=2).sum(axis=0) > 20
    starts = np.flatnonzero(np.diff(np.concatenate([[0], is_panel.astype(int)])) == 1)
    ends = np.flatnonzero(np.diff(np.concatenate([is_panel.astype(int), [0]])) == -1)
    widths = ends - starts + 1
    assert len(widths) == 3
    np.testing.assert_allclose(widths / widths[0], 1, atol=0.05)  # x, x and y: 60 mm each


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5, 6), np.uint16),
        np.full((4, 5, 6), np.nan, np.float32),
        np.array([[[np.inf, -np.inf], [1.0, 2.0]]] * 3, np.float32),
        np.arange(7, dtype=np.int16).reshape(1, 1, 7),
    ],
)
def test_odd_images_are_drawn(tmp_path, image):
    labels = np.zeros(image.shape)
    labels.flat[0] = 1
    assert drawn(tmp_path, *pair(image, labels)).std() > 0


def test_another_grid_and_a_missing_folder_are_refused(tmp_path, explant):
    other = LabelMap(np.zeros((3, 3, 3), np.uint8), Geometry((3, 3, 3)))
    with pytest.raises(InputError, match="another grid"):
        draw_slices(explant[0], other, tmp_path / "slices.png")
    with pytest.raises(OutputError):
        draw_slices(*explant, tmp_path / "missing" / "slices.png", dpi=40)
    with pytest.raises(InputError, match="voxel inside"):
        draw_slices(*explant, tmp_path / "slices.png", at_zyx=(0, 48, 0))
