"""The two pictures of the main job are drawn without a display."""

import numpy as np
import pytest
from PIL import Image

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.scene.closed_surfaces import create_closed_surfaces
from MgImplantSegLib.scene.pictures import PictureSettings, render_segmentation
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.slices import draw_slices


def test_the_3d_picture_shows_metal_layer_and_bone(scene, explant, tmp_path):
    node = add_segmentation_node(scene, explant[1], "explant")
    create_closed_surfaces(node)
    path = render_segmentation(node, tmp_path / "view_3d.png", PictureSettings(400, 360))
    pixels = np.array(Image.open(path)).astype(int)
    assert pixels.shape == (360, 400, 3)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    is_metal_seen_through_the_layer = (red > blue + 15) & (red > green + 20)
    is_bone = (np.abs(red - green) < 60) & (red > green) & (green > blue + 30)
    assert is_metal_seen_through_the_layer.sum() > 1000
    assert is_bone.sum() > 5000


def test_the_scale_bar_is_as_long_as_a_round_number_of_millimetres_in_the_picture(scene, tmp_path):
    ball = (np.indices((40, 40, 40)) - 19.5) ** 2
    geometry = Geometry((40, 40, 40), (0.02, 0.02, 0.02))
    node = add_segmentation_node(scene, LabelMap((ball.sum(axis=0) < 16**2) * np.uint8(3), geometry), "ball")
    create_closed_surfaces(node)
    path = render_segmentation(node, tmp_path / "ball.png", PictureSettings(600, 500))
    pixels = np.array(Image.open(path)).astype(int)
    is_metal = pixels[..., 0] > pixels[..., 1] + 20
    is_dark = (pixels.max(axis=2) < 120) & (np.ptp(pixels, axis=2) < 20)
    rows_of_ball = np.flatnonzero(is_metal[:450].any(axis=1))
    mm_per_pixel = 2 * 16 * 0.02 / np.ptp(rows_of_ball)
    lower_right = is_dark[450:, 300:]
    bar_mm = lower_right.sum(axis=1).max() * mm_per_pixel
    assert bar_mm == pytest.approx(0.2, rel=0.04)


def test_bone_alone_is_drawn_whole_and_opaque(scene, explant, tmp_path):
    bone = LabelMap((explant[1].array == 1).astype(np.uint8), explant[1].geometry)
    node = add_segmentation_node(scene, bone, "bone")
    create_closed_surfaces(node)
    pixels = np.array(Image.open(render_segmentation(node, tmp_path / "a.png", PictureSettings(400, 360)))).astype(int)
    middle = pixels[150:180, 190:210]  # the half before the axis is not cut away, nothing shines through
    assert (middle.max(axis=2) < 250).all()
    assert (middle[..., 0] > middle[..., 2]).all()


def test_hidden_segments_are_left_out(scene, explant, tmp_path):
    node = add_segmentation_node(scene, explant[1], "explant")
    create_closed_surfaces(node)
    for segment_id in ("bone", "degradation_layer"):
        node.GetDisplayNode().SetSegmentVisibility(segment_id, False)
    pixels = np.array(Image.open(render_segmentation(node, tmp_path / "a.png", PictureSettings(400, 360)))).astype(int)
    is_bone = (pixels[..., 0] > pixels[..., 2] + 30) & (np.abs(pixels[..., 0] - pixels[..., 1]) < 40)
    is_metal = pixels[..., 0] > pixels[..., 1] + 40
    assert is_metal.sum() > 5000
    assert is_bone.sum() < 300


def test_a_segmentation_without_surfaces_gives_a_remedy(scene, explant, tmp_path):
    node = add_segmentation_node(scene, explant[1], "explant")
    with pytest.raises(InputError, match="Create the closed surfaces first"):
        render_segmentation(node, tmp_path / "view_3d.png")
    assert not list(tmp_path.iterdir())


def test_slices_show_every_class_in_its_color(explant, tmp_path):
    path = draw_slices(*explant, tmp_path / "slices.png", dpi=80)
    pixels = np.array(Image.open(path).convert("RGB")) / 255
    for label in explant[1].scheme.segments:
        is_color_of_class = np.abs(pixels - label.color_rgb).max(axis=2) < 0.02
        assert is_color_of_class.sum() > 50, label.name
