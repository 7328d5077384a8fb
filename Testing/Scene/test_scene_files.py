"""A scene of results survives saving as .mrb and loading into another scene."""

import math

import numpy as np
import pytest
from scene_files import add_scene, save_scene

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.quantification.results import Measure, QuantificationReport, Series
from MgImplantSegLib.scene.closed_surfaces import create_closed_surfaces
from MgImplantSegLib.scene.implant_surfaces import CONTACT
from MgImplantSegLib.scene.markups import add_roi_node, box_of_roi_node
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.plots import add_chart
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.standalone import StandaloneScene
from MgImplantSegLib.scene.surface_models import add_contact_model
from MgImplantSegLib.scene.tables import add_measures_table
from MgImplantSegLib.scene.volumes import add_volume_node, volume_of_node

BOX = OrientedBox((0.1, 0.2, 0.3), ((0.8, 0.36, 0.48), (0.0, 0.8, -0.6), (-0.6, 0.48, 0.64)), (0.5, 1.0, 2.0), "shaft")
REPORT = QuantificationReport(
    (Measure("DR", "degradation rate", math.nan, "mm/year", "implant", "", "", "No time; none."),),
    {"spacing_zyx_um": [5.0, 5.0, 5.0]},
)
PROFILE = Series("BV/TV", "profile", "shell", "distance", "mm", (0.0, 0.1), (0.1, 0.2), (30.0, 50.0), "%", "")


@pytest.fixture
def reopened(tmp_path, explant, oblique_geometry):
    """A new scene with what another scene with results had saved, and the label map that was in it."""
    directions = oblique_geometry.direction_lps
    geometry = Geometry(explant[1].array.shape, (0.04, 0.04, 0.04), (1.0, -2.0, 3.0), directions)
    label_map = LabelMap(explant[1].array, geometry)
    with StandaloneScene() as first:
        volume_node = add_volume_node(first.scene, Volume(explant[0].array, geometry), "explant µ")
        node = add_segmentation_node(
            first.scene, label_map, "result", volume_node, provenance={"model": 'a "b"; c: %<d>'}
        )
        create_closed_surfaces(node)
        add_roi_node(first.scene, BOX)
        add_measures_table(first.scene, REPORT, "measures")
        add_chart(first.scene, [PROFILE], "Bone around the implant")
        add_contact_model(first.scene, label_map, "contact", {"model": "m"})
        save_scene(first.scene, tmp_path / "sheep 12.mrb")
    with StandaloneScene() as second:
        add_scene(second.scene, tmp_path / "sheep 12.mrb")
        yield second.scene, label_map


def test_everything_comes_back(reopened, explant):
    scene, label_map = reopened
    image = volume_of_node(scene.GetFirstNode("explant µ", "vtkMRMLScalarVolumeNode"))
    np.testing.assert_array_equal(image.array, explant[0].array[::-1])  # Slicer reads it right-handed: z runs backward
    flipped = label_map.geometry.lps_from_index_zyx((47, 0, 0))
    np.testing.assert_allclose(image.geometry.origin_lps_mm, flipped, atol=1e-9)

    node = scene.GetFirstNode("result", "vtkMRMLSegmentationNode")
    back = label_map_of_node(node)
    np.testing.assert_array_equal(back.array, label_map.array)
    assert back.geometry.same_grid(label_map.geometry)
    assert back.scheme == label_map.scheme
    assert provenance_of_node(node) == {"model": 'a "b"; c: %<d>'}
    assert node.GetDisplayNode().GetSegmentOpacity3D("residual_material") == 1
    assert min(create_closed_surfaces(node).values()) > 1000

    box = box_of_roi_node(scene.GetFirstNode("shaft", "vtkMRMLMarkupsROINode"))
    np.testing.assert_allclose(box.corners_lps_mm, BOX.corners_lps_mm, atol=1e-6)

    table = scene.GetFirstNode("measures", "vtkMRMLTableNode")
    assert table.GetCellText(0, table.GetColumnIndex("Note")) == "No time; none."
    assert math.isnan(float(table.GetCellText(0, table.GetColumnIndex("Value"))))
    assert provenance_of_node(table)["spacing_zyx_um"] == [5.0, 5.0, 5.0]

    chart = scene.GetFirstNode("Bone around the implant", "vtkMRMLPlotChartNode")
    assert chart.GetNthPlotSeriesNode(0).GetTableNode().GetNumberOfRows() == 2

    contact = scene.GetFirstNode("contact", "vtkMRMLModelNode")
    assert contact.GetDisplayNode().GetActiveScalarName() == CONTACT
    assert contact.GetDisplayNode().GetColorNode().GetColorName(1) == "bone contact"


def test_what_is_no_bundle_is_refused(scene, tmp_path):
    (tmp_path / "text.mrb").write_text("not a bundle")
    for name in ("text.mrb", "missing.mrb"):
        with pytest.raises(InputError, match="scene bundle"):
            add_scene(scene, tmp_path / name)


def test_scenes_are_saved_as_mrb_into_folders_that_exist(scene, tmp_path):
    with pytest.raises(OutputError, match="suffix"):
        save_scene(scene, tmp_path / "scene.mrml")
    with pytest.raises(OutputError):
        save_scene(scene, tmp_path / "missing" / "scene.mrb")
