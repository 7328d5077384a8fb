"""Cracks of a segmentation in the scene: the group in Advanced, its preview, and what comes into the scene."""

import numpy as np
import pytest
import slicer
from harness import person
from measure_cases import compute
from module_cases import geometry, rename_segment

from MgImplantSegLib.grids.labels import CANAL, CLASSES, CRACK, LabelScheme
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.quantification import MEASURES, QuantifyOptions, quantify
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegLib.scene.volumes import add_volume_node

GREY_OF_CLASS = np.array([20, 100, 170, 255], np.uint8)


@pytest.fixture
def cracked(ui, widget):
    """A scan with a crack in the layer, and a segmentation that has missed it, chosen in the panel."""
    labels = np.zeros((24, 40, 40), np.uint8)
    labels[2:22, 4:35, 4:35] = 2
    labels[2:22, 14:24, 14:24] = 3
    grey = GREY_OF_CLASS[labels]
    grey[2:22, 18:21, 24:35] = GREY_OF_CLASS[0]
    grid = geometry(labels.shape)
    volume = add_volume_node(slicer.mrmlScene, Volume(grey, grid), "Scan")
    node = add_segmentation_node(slicer.mrmlScene, LabelMap(labels, grid), "Explant", volume)
    widget.panel.workbench.parameters.inputVolume = volume
    widget.panel.workbench.parameters.measuredSegmentation = node
    return node


def wait(widget):
    person.wait_until(lambda: not widget.panel.cracks.isRunning())


def test_the_button_says_what_is_missing(widget, ui):
    assert not widget.panel.cracks.findButton.enabled
    assert "a volume" in widget.panel.cracks.findButton.toolTip


def test_cracks_are_a_segment_of_a_new_node_that_is_measured_and_the_given_one_stays(widget, ui, cracked):
    panel, parameters = widget.panel.cracks, widget.panel.workbench.parameters
    assert panel.widthSlider.value == pytest.approx(40)
    person.click(panel.findButton)
    wait(widget)
    node = parameters.measuredSegmentation
    assert node is not cracked, panel.statusLabel.text
    assert segment_ids(node.GetSegmentation())[-1] == "crack"
    assert segment_ids(cracked.GetSegmentation()) == ["degradation_layer", "residual_material"]
    person.click(panel.findButton)
    wait(widget)
    assert parameters.measuredSegmentation is node


def test_another_volume_starts_no_preview_by_itself(widget, ui, cracked):
    panel = widget.panel.cracks
    panel.previewCheckBox.blockSignals(True)
    panel.previewCheckBox.checked = True
    grid = geometry((24, 40, 40), spacing_mm=0.005)
    fine = add_volume_node(slicer.mrmlScene, Volume(np.zeros(grid.shape_zyx, np.uint8), grid), "Fine")
    widget.panel.workbench.parameters.inputVolume = fine
    assert panel.widthSlider.value == pytest.approx(10) and not panel.isRunning()


def test_how_far_the_search_is_and_how_long_it_takes_is_told(widget):
    widget.panel.cracks._onEvent({"event": "progress", "stage": "cracks", "done": 3, "total": 4, "eta_s": 75})
    assert widget.panel.cracks.statusLabel.text == "75 % of cracks, 1 min 15 s left"


def test_a_preview_follows_the_sliders_and_leaves_the_chosen_segmentation(widget, ui, cracked):
    panel = widget.panel.cracks
    panel.previewCheckBox.checked = True
    wait(widget)
    preview = next(n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "preview" in n.GetName())
    assert "crack" in segment_ids(preview.GetSegmentation())
    panel.contrastSlider.value = 0.6
    wait(widget)
    assert widget.panel.workbench.parameters.measuredSegmentation is cracked
    assert len([n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "preview" in n.GetName()]) == 1


CRACKS = ("Cr.V", "Cr.V/DL.V", "Cr.S", "Cr.Wi", "Cr.Wi.SD", "Cr.Wi.max", "Cr.De", "Cr.De.max", "Cr.open", "Cr.RM")
BY_DEFAULT = tuple(key for key, group in MEASURES.items() if group.by_default)


def with_openings():
    """A core in a layer with a crack in it, and bone beside it with a canal."""
    labels = np.zeros((16, 30, 30), np.uint8)
    labels[2:14, 3:20, 3:27] = 2
    labels[2:14, 8:15, 8:15] = 3
    labels[2:14, 10:12, 15:27] = CRACK.value
    labels[2:14, 20:28, 3:27] = 1
    labels[2:14, 23:25, 10:12] = CANAL.value
    return LabelMap(labels, geometry(labels.shape), LabelScheme((*CLASSES, CRACK, CANAL)))


@pytest.fixture
def opened(ui, widget):
    """A segmentation with a crack and a canal, which a person has painted under names of their own."""
    node = add_segmentation_node(slicer.mrmlScene, with_openings(), "Explant")
    rename_segment(node.GetSegmentation(), "crack", "Segment_1", "Crack")
    rename_segment(node.GetSegmentation(), "canal", "Segment_2", "Loch")
    widget.panel.workbench.parameters.measuredSegmentation = node
    ui.distanceSpinBox.value = 0.06
    return ui


def engine_says():
    options = QuantifyOptions(distance_mm=0.06, measures=(*BY_DEFAULT, "cracks", "canals"))
    return {entry.symbol: entry for entry in reversed(quantify(with_openings(), options).measures)}


def test_cracks_and_canals_are_measured_where_there_are_such_segments_as_the_engine_does(opened, widget, no_process):
    assert "Loch" in opened.computeButton.toolTip
    combo = opened.classTable.cellWidget(opened.classTable.rowCount - 1, 1)
    person.choose(combo, "canal")
    combo.activated(combo.currentIndex)
    rows, said = compute(widget, opened), engine_says()
    for symbol in (*CRACKS, "BIC_open", "BIC_closed", "Ct.Po", "Ca.Dm", "BIC", "V_DL"):
        (row,) = [entry for key, entry in rows.items() if key == (symbol, said[symbol].region)]
        assert float(row["Value"]) == pytest.approx(said[symbol].value, rel=1e-4), symbol
        assert row["Definition"] == said[symbol].definition
    tips = {item.text().split(",")[0]: item.toolTip() for item in person.items_of(opened.measuresTable, 0)}
    assert said["Cr.V/DL.V"].definition in tips["Cr.V/DL.V"] and said["Ct.Po"].definition in tips["Ct.Po"]


def test_the_notes_say_what_cracks_and_canals_do_to_the_numbers(opened, widget, no_process):
    person.choose(opened.classTable.cellWidget(opened.classTable.rowCount - 1, 1), "canal")
    opened.classTable.cellWidget(opened.classTable.rowCount - 1, 1).activated(4)
    compute(widget, opened)
    said = {symbol: f"{entry.value:#.3g}" for symbol, entry in engine_says().items()}
    for text in (opened.measuresStateLabel.text, opened.measuresHeadlineLabel.toolTip):
        assert f"Cracks take {said['Cr.V/DL.V']} % of the degradation layer" in text
        assert f"BIC is {said['BIC_open']} % with cracks as background, {said['BIC_closed']} %" in text
        assert f"Canals take {said['Ct.Po']} % of the bone" in text


def test_cracks_that_are_said_to_be_left_out_are_not_measured_and_the_rows_become_stale(opened, widget, no_process):
    opened.classTable.cellWidget(opened.classTable.rowCount - 1, 1).activated(4)
    assert ("Cr.V", "implant") in compute(widget, opened)
    (row,) = [row for row, cells in enumerate(person.rows_of(opened.classTable)) if "Crack" in cells[0]]
    opened.classTable.cellWidget(row, 1).activated(5)
    assert "stale" in opened.measuresStateLabel.text
    assert ("Cr.V", "implant") not in compute(widget, opened)
