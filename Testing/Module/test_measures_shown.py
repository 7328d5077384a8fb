"""What a person reads of the measures: warnings, the headline, a table for each segmentation."""

import gc

import pytest
import slicer
from harness import person
from measure_cases import add_roi, box_beside, compute, measures, table_node
from module_cases import add_segmentation, ball_in_half_bone

from MgImplantSegLib.scene.volumes import array_of_image


def tables():
    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLTableNode")]


def test_voxels_in_several_segments_are_warned_of_and_the_warning_stays_with_the_table(measurable, widget, no_process):
    node = measurable.measuredSegmentationSelector.currentNode()
    segmentation = node.GetSegmentation()
    image = segmentation.GetSegment("bone").GetRepresentation("Binary labelmap")
    own = slicer.vtkOrientedImageData()
    own.DeepCopy(image)
    value = segmentation.GetSegment("bone").GetLabelValue()
    array = array_of_image(own)
    array[...] = (array == value) * value
    implant = ball_in_half_bone().array == 3
    array[implant] = value
    segmentation.GetSegment("bone").AddRepresentation("Binary labelmap", own)
    compute(widget, measurable)
    text = f'⚠ "Explant": {implant.sum()} voxels belong to several segments'
    assert text in measurable.measuresStateLabel.text
    measurable.measuredSegmentationSelector.setCurrentNode(None)
    assert text not in measurable.measuresStateLabel.text
    measurable.measuredSegmentationSelector.setCurrentNode(node)
    assert text in measurable.measuresStateLabel.text


def test_a_typed_volume_smaller_than_what_is_left_is_warned_of_in_the_text_and_in_the_headline(
    measurable, widget, no_process
):
    person.choose(measurable.initialKindSelector, "Typed")
    measurable.initialVolumeSpinBox.value, measurable.initialAreaSpinBox.value = 0.001, 0.7
    measurable.daysSpinBox.value = 90
    compute(widget, measurable)
    assert "is smaller than the residual volume" in measurable.measuresStateLabel.text
    assert "⚠" in measurable.measuresStateLabel.text and "⚠" in measurable.measuresHeadlineLabel.text


def test_the_headline_has_rate_contact_and_bone_with_three_digits_and_is_grey_when_stale(
    measurable, widget, no_process
):
    assert measurable.measuresHeadlineLabel.text == ""
    person.choose(measurable.initialKindSelector, "Typed")
    measurable.initialVolumeSpinBox.value, measurable.initialAreaSpinBox.value = 0.05, 0.7
    measurable.daysSpinBox.value = 90
    rows = compute(widget, measurable)
    values = {symbol: float(row["Value"]) for (symbol, _region), row in reversed(rows.items()) if row["Value"] != "nan"}
    text = measurable.measuresHeadlineLabel.text.replace("\u00a0", " ").replace("\u2060", "").replace(" ⚠", "")
    assert text == f"DR {values['DR']:.3f} mm/year · BIC {values['BIC']:.1f} % · BV/TV {values['BV/TV']:.1f} %"
    assert measurable.measuresHeadlineLabel.enabled and "V_i" in measurable.measuresHeadlineLabel.toolTip
    measurable.daysSpinBox.value = 91
    assert not measurable.measuresHeadlineLabel.enabled
    assert all(item.foreground().color().name() == "#808080" for item in person.items_of(measurable.measuresTable))


@pytest.mark.parametrize(
    ("value", "text"), [(0.2233832, "0.2234"), (13.9012, "13.90"), (1234.5, "1234"), (0, "0"), (1e-9, "1e-09")]
)
def test_numbers_are_shown_with_four_digits(module, value, text):
    from MgImplantSegSections.work.numberText import numberText

    assert numberText(value) == text and numberText(float("nan")) == ""


def test_each_segmentation_has_its_own_table_which_is_filled_again_under_the_same_name(measurable, widget, no_process):
    first = measurable.measuredSegmentationSelector.currentNode()
    for _twice in range(2):
        compute(widget, measurable)
    assert tables() == ["Explant measures"]
    own = table_node(measurable)
    second = add_segmentation(slicer.mrmlScene, "Other", radius=8)
    measurable.measuredSegmentationSelector.setCurrentNode(second)
    assert table_node(measurable) is None and not measurable.exportCsvButton.enabled
    smaller = compute(widget, measurable)
    assert sorted(tables()) == ["Explant measures", "Other measures"]
    measurable.measuredSegmentationSelector.setCurrentNode(first)
    assert table_node(measurable) is own
    assert {row["State"] for row in measures(measurable).values()} == {"current"}
    volume = next(key for key in smaller if key[0] == "V_r")
    assert measures(measurable)[volume]["Value"] != smaller[volume]["Value"]


def test_the_table_of_the_original_is_not_that_of_a_copy(measurable, widget, no_process):
    compute(widget, measurable)
    original = measurable.measuredSegmentationSelector.currentNode()
    table = table_node(measurable)
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    copy.Copy(original)
    measurable.measuredSegmentationSelector.setCurrentNode(copy)
    assert table_node(measurable) is None
    compute(widget, measurable)
    measurable.measuredSegmentationSelector.setCurrentNode(original)
    assert table_node(measurable) is table


def test_measures_go_to_the_segmentation_they_were_computed_for_whichever_is_chosen_at_the_end(measurable, widget):
    first = measurable.measuredSegmentationSelector.currentNode()
    second = add_segmentation(slicer.mrmlScene, "Other", radius=8)
    person.click(measurable.computeButton)
    measurable.measuredSegmentationSelector.setCurrentNode(second)
    person.wait_until(lambda: not widget.panel.measurements.isRunning())
    assert table_node(measurable) is None
    measurable.measuredSegmentationSelector.setCurrentNode(first)
    assert table_node(measurable).GetName() == "Explant measures"


def test_the_name_of_a_roi_with_quotes_comes_back_whole_from_a_saved_scene(measurable, widget, no_process, tmp_path):
    from scene_files import add_scene, save_scene

    name = 'links "µ"'
    add_roi(measurable, box_beside(name=name))
    before = set(compute(widget, measurable))
    assert any(name in region for _symbol, region in before)
    bundle = save_scene(slicer.mrmlScene, tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    add_scene(slicer.mrmlScene, bundle)
    person.process_events()
    assert set(measures(measurable)) == before


def test_undefined_values_are_copied_as_empty_cells_and_numbers_as_in_the_csv(measurable, widget, no_process):
    from PySide6.QtWidgets import QApplication

    compute(widget, measurable)
    person.click(measurable.copyMeasuresButton)
    cells = [line.split("\t") for line in QApplication.clipboard().text().splitlines()]
    values = {row[0]: row[2] for row in reversed(cells[1:])}
    assert values["DR"] == "" and "nan" not in values.values()
    assert all(len(value) <= 12 for value in values.values())


def test_closing_the_scene_leaves_no_text_of_it(measurable, widget, no_process):
    compute(widget, measurable)
    texts = [measurable.segmentStatusLabel, measurable.teachStatusLabel, measurable.teachResultLabel]
    texts += [widget.panel.cracks.statusLabel, measurable.compareStatusLabel]
    for label in texts:
        label.text = "585,776 triangles"
    slicer.mrmlScene.Clear(0)
    person.process_events()
    for label in (measurable.measuresStateLabel, measurable.measuresHeadlineLabel, measurable.alignmentLabel, *texts):
        assert label.text == ""
    assert not measurable.measuresNotesButton.enabled


def test_all_notes_stand_in_a_window(measurable, widget, no_process):
    assert not measurable.measuresNotesButton.enabled
    compute(widget, measurable)
    person.click(measurable.measuresNotesButton)
    notes = measurable.measuresStateLabel.text.split("\n")[1:]
    assert notes and all(note in widget.panel.measurements.view.notes.text() for note in notes)


def test_the_plot_is_closed_by_the_button_that_has_shown_it(measurable, widget, no_process, slicer_app):
    from harness.application import LayoutManager

    slicer_app.layout = LayoutManager(slicer.mrmlScene)
    before = slicer_app.layout.layout
    compute(widget, measurable)
    person.click(measurable.showPlotButton)
    assert slicer_app.layout.layout != before and measurable.showPlotButton.text == "Close plot"
    person.click(measurable.showPlotButton)
    assert slicer_app.layout.layout == before and measurable.showPlotButton.text == "Plot profile"


def test_a_segmentation_that_was_measured_is_not_kept_after_its_scene_was_closed(measurable, widget, no_process):
    compute(widget, measurable)
    deleted = []
    segmentation = measurable.measuredSegmentationSelector.currentNode().GetSegmentation()
    segmentation.AddObserver("DeleteEvent", lambda _caller, event: deleted.append(event))
    del segmentation
    slicer.mrmlScene.Clear(0)
    person.process_events()
    gc.collect()
    assert deleted


def test_a_range_stands_behind_its_value_in_the_headline_and_in_the_table(module):
    from MgImplantSegSections.sections.measuresTable import headline
    from MgImplantSegSections.work.measuresReport import addTable

    from MgImplantSegLib.quantification.results import Measure, QuantificationReport

    rate = Measure("DR", "degradation rate", 0.22338, "mm/year", "implant", "", "", low=0.2012, high=0.25)
    contact = Measure("BIC", "contact", 13.9012, "%", "surface", "", "", note="The implant touches the border.")
    node = add_segmentation(slicer.mrmlScene)
    table = addTable(slicer.mrmlScene, QuantificationReport((rate, contact), {}), "Table", node)
    assert (
        headline(table).replace("\u00a0", " ").replace("\u2060", "") == "DR 0.223 mm/year (0.201–0.250) · BIC 13.9 % ⚠"
    )
    column = table.GetTable().GetColumnByName("Result")
    assert [column.GetValue(row) for row in range(2)] == ["0.2234 (0.2012 to 0.2500)", "13.90"]


def test_a_long_name_of_a_region_takes_one_line_across_the_table(measurable, widget, no_process):
    add_roi(measurable, box_beside(name="links oben neben dem Kopf der Schraube im zweiten Schnitt"))
    dock = person.Dock(widget, 407, 485)
    try:
        measurable.measurementsSection.collapsed = False
        compute(widget, measurable)
        person.process_events()
        table = measurable.measuresTable
        headings = [row for row in range(table.rowCount) if table.columnSpan(row, 0) == 3]
        assert len(headings) > 2
        lines = [table.rowHeight(row) / table.verticalHeader().defaultSectionSize for row in headings]
        assert max(lines) < 1.5
    finally:
        dock.close()
