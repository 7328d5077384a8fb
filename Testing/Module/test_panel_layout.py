"""The panel as it is seen on small and large screens: nothing is cut, nothing jumps, one thing scrolls."""

import itertools
import re
from pathlib import Path

import pytest
import slicer
from harness import person
from harness.person import Dock
from harness.values import unwrap
from measure_cases import add_roi, box_beside, compute
from PySide6 import QtCore, QtWidgets

SCREENS = {"1366x768": (407, 485), "1920x1080": (509, 795)}  # the dock's width and the height that is visible in Slicer
HELP_PX = 28  # of the folded Help & Acknowledgement above the panel
SECTIONS = ("advanced", "measurements", "display3D", "compare", "teach", "training", "batch", "environments")
ARROW_PX = 26
ROW_PX = 12


@pytest.fixture(params=SCREENS)
def dock(request, widget):
    shown = Dock(widget, *SCREENS[request.param])
    yield shown
    shown.close()


@pytest.fixture
def small_dock(widget):
    shown = Dock(widget, *SCREENS["1366x768"])
    yield shown
    shown.close()


def header(ui, name):
    return getattr(ui, f"{name}Section")


def open_section(ui, name):
    header(ui, name).collapsed = False
    for group in (ui.classMappingGroup, ui.methodsGroup) if name == "measurements" else ():
        group.collapsed = False
    person.process_events(50)


def cut_texts(dock):
    """What can be read only in part, with the reason."""
    wrong = []
    for button in dock.shown(QtWidgets.QAbstractButton):
        if button.text() and button.sizeHint().width() > button.width():
            wrong.append(f"button {button.objectName()} {button.text()!r}")
    for label in dock.shown(QtWidgets.QLabel):
        if not label.text():
            continue
        if label.wordWrap():
            if label.heightForWidth(label.width()) > label.height():
                wrong.append(f"label {label.objectName()} {label.text()!r} in {label.size()}")
        elif label.sizeHint().width() > label.width():
            wrong.append(f"label {label.objectName()} {label.text()!r}")
    for combo in dock.shown(QtWidgets.QComboBox):
        is_for_nodes = type(combo.parent()).__name__.startswith("qMRML")  # names of nodes are the user's
        if not is_for_nodes and combo.fontMetrics().horizontalAdvance(combo.currentText()) + ARROW_PX > combo.width():
            wrong.append(f"combo {combo.objectName()} {combo.currentText()!r} in {combo.width()}")
    for box in dock.shown(QtWidgets.QAbstractSpinBox):
        if box.sizeHint().width() > box.width() and box.fontMetrics().horizontalAdvance(box.text()) > box.width() - 20:
            wrong.append(f"spin box {box.objectName()} {box.text()!r}")
    for view in dock.shown(QtWidgets.QHeaderView):
        if view.orientation() == QtCore.Qt.Orientation.Horizontal:
            wrong += [f"column {i} of {view.parent().objectName()}" for i in cut_columns(view)]
    return wrong


def cut_columns(view):
    texts = [str(view.model().headerData(i, view.orientation()) or "") for i in range(view.count())]
    return [text for i, text in enumerate(texts) if view.fontMetrics().horizontalAdvance(text) > view.sectionSize(i)]


def wide(dock):
    """What is wider than the dock shows."""
    return dock.panel.minimumSizeHint().width() - dock.area.viewport().width()


def inner_scrolls(dock):
    """Widgets in the panel that would take the wheel."""
    areas = dock.shown(QtWidgets.QAbstractScrollArea)
    return [area.objectName() for area in areas if area.verticalScrollBar().maximum() > 0]


@pytest.mark.parametrize("name", SECTIONS)
def test_no_text_is_cut_and_nothing_scrolls_inside_the_panel(name, dock, ui):
    person.click(ui.sampleDataButton)
    open_section(ui, name)
    assert not cut_texts(dock)
    assert wide(dock) <= 0
    assert not inner_scrolls(dock)


def test_the_check_itself_finds_a_cut_text(small_dock, ui):
    ui.segmentButton.setFixedWidth(20)
    ui.modelCardLabel.setFixedHeight(8)
    person.process_events()
    assert len(cut_texts(small_dock)) == 2


def test_measures_stand_in_full_height_with_ranges_notes_and_warnings_uncut(dock, measurable, widget, no_process):
    add_roi(measurable, box_beside(name="A region of interest with a long name at the head"))
    open_section(measurable, "measurements")
    measurable.allMeasuresCheckBox.checked = True
    assert len(compute(widget, measurable)) > 20

    def space_below():
        return dock.place(measurable.showPlotButton).top() - dock.place(measurable.measuresTable).bottom()

    person.wait_until(lambda: 0 < space_below() <= ROW_PX, 10)  # the panel is laid out anew for the long table
    assert not cut_texts(dock) and wide(dock) <= 0 and not inner_scrolls(dock)
    table = unwrap(measurable.measuresTable)
    bottom = table.visualItemRect(table.item(table.rowCount() - 1, 0)).bottom()
    assert bottom <= table.viewport().height() <= bottom + ROW_PX


def test_a_table_that_was_filled_in_a_folded_section_has_no_empty_space_below_its_rows(measurable, widget):
    small = Dock(widget, 400, 485)
    try:
        open_section(measurable, "measurements")
        table = unwrap(measurable.classTable)
        person.wait_until(lambda: table.viewport().height() == table.verticalHeader().length(), 10)
    finally:
        small.close()


def test_long_lists_do_not_scroll_in_the_panel_either(dock, ui, tmp_path):
    for number in range(30):
        (tmp_path / f"a_scan_with_quite_a_long_name_{number:02d}.nrrd").write_text("")
    ui.batchFolderEdit.currentPath = str(tmp_path)
    open_section(ui, "batch")
    assert ui.batchTable.rowCount == 30 and not inner_scrolls(dock) and wide(dock) <= 0


def test_the_ways_out_without_torch_fit_too(small_dock, ready, widget, monkeypatch):
    from MgImplantSegSections.engine import pythons

    monkeypatch.setattr(pythons, "version", lambda package: None)
    person.click(ready.segmentButton)
    person.process_events(50)
    assert "lacks" in ready.missingLabel.text and not ready.missingLabel.isHidden()
    assert not cut_texts(small_dock) and wide(small_dock) <= 0


def test_the_work_is_on_one_screen(small_dock, ui):
    person.click(ui.sampleDataButton)
    for entry in (ui.inputVolumeSelector, ui.modelSelector, ui.modelCardLabel, ui.segmentButton, ui.show3DButton):
        assert small_dock.is_in_view(entry)
    assert small_dock.place(ui.segmentStatusLabel).bottom() + HELP_PX <= small_dock.area.viewport().height()
    assert small_dock.place(ui.advancedSection).bottom() + HELP_PX <= small_dock.area.viewport().height()


def test_segment_is_the_default_button_and_stands_before_teach(small_dock, ui):
    assert ui.segmentButton.default and ui.segmentButton.font.bold()
    assert small_dock.place(ui.segmentButton).x() < small_dock.place(ui.openTeachButton).x()


def test_nothing_jumps_while_something_runs(small_dock, ready, widget, slow_engine):
    slow_engine()
    names = [name for name, entry in vars(ready).items() if getattr(entry, "isVisible", bool)()]
    before = {name: small_dock.place(getattr(ready, name)) for name in names}
    section, stage = widget.panel.segmentation, "Predicting the slices of plane 1 of 3"
    person.click(ready.segmentButton)
    section.onEvent({"event": "progress", "stage": stage, "done": 1, "total": 9, "eta_s": 75})
    assert "1 min 15 s left" in ready.segmentStatusLabel.text and ready.segmentProgressBar.value == 111
    person.process_events(50)
    assert {name: small_dock.place(getattr(ready, name)) for name in names} == before
    person.click(ready.segmentButton)
    person.wait_until(lambda: not section.isRunning())
    person.process_events(50)
    assert {name: small_dock.place(getattr(ready, name)) for name in names} == before


TEXTS = ("", "Done.", "Expected a segmentation, got none. " * 40, "/a/path/" + "without_a_blank" * 30, "line\n" * 30)
SECTION_OF = {
    "estimateLabel": "advanced",
    "labelMapLabel": "measurements",
    "alignmentLabel": "measurements",
    "measuresStateLabel": "measurements",
    "compareStatusLabel": "compare",
    "teachLabelledLabel": "teach",
    "teachStatusLabel": "teach",
    "teachResultLabel": "teach",
    "trainingEnvironmentLabel": "training",
    "trainingStatusLabel": "training",
    "batchStatusLabel": "batch",
    "environmentStatusLabel": "environments",
    "diskLabel": "environments",
}


@pytest.mark.parametrize("width", [400, 509])
def test_nothing_moves_whatever_a_status_says(widget, ui, width):
    from MgImplantSegSections.sections.fixedText import LINES

    dock = Dock(widget, width, 485)
    try:
        for section in (None, *SECTIONS):
            if section is not None:
                open_section(ui, section)
            labels = [getattr(ui, name) for name in LINES if SECTION_OF.get(name) == section]
            labels += [widget.panel.cracks.statusLabel] if section == "advanced" else []
            assert labels or section == "display3D"
            for label in labels:
                label.visible = True
            person.process_events(50)
            before = places_of(dock)
            for text in TEXTS:
                for label in labels:
                    label.text = text
                person.process_events(50)
                assert places_of(dock) == before, (section, text[:20])
                assert not cut_texts(dock)
                assert all(label.text == text for label in labels)
            assert all(TEXTS[-1].strip() in label.toolTip for label in labels)
    finally:
        dock.close()


def places_of(dock):
    """Place and size of everything that is shown, and the width that the panel cannot go below."""
    shown = {id(entry): dock.place(entry) for entry in dock.shown(QtWidgets.QWidget)}
    return shown, dock.panel.minimumSizeHint().width()


def test_a_text_is_fitted_anew_when_the_panel_becomes_wider(small_dock, ui):
    ui.segmentStatusLabel.text = text = "Expected a segmentation with voxels, got one without any. " * 4
    person.process_events(50)
    assert ui.segmentStatusLabel.label.text.endswith("…") and text in ui.segmentStatusLabel.toolTip
    small_dock.area.resize(2400, 485)
    person.process_events(50)
    assert ui.segmentStatusLabel.label.text == text and ui.segmentStatusLabel.toolTip == ""


def test_the_headline_has_its_place_before_there_are_measures(small_dock, measurable, widget, no_process):
    before = small_dock.place(measurable.segmentStatusLabel), small_dock.place(measurable.advancedSection)
    compute(widget, measurable)
    person.process_events(50)
    assert "BIC\u00a050.0\u00a0%" in measurable.measuresHeadlineLabel.text
    assert (small_dock.place(measurable.segmentStatusLabel), small_dock.place(measurable.advancedSection)) == before


def test_all_sections_are_folded_at_first_and_one_is_open_at_a_time(small_dock, ui):
    assert all(header(ui, name).collapsed for name in SECTIONS)
    for name in SECTIONS:
        open_section(ui, name)
        assert [entry for entry in SECTIONS if not header(ui, entry).collapsed] == [name]


@pytest.mark.parametrize("name", SECTIONS)
def test_an_opened_section_comes_into_view_wherever_it_stands(name, small_dock, ui):
    open_section(ui, name)
    place, view = small_dock.place(header(ui, name)), small_dock.area.viewport().rect()
    assert place.top() >= 0 and (place.bottom() <= view.bottom() or place.top() <= ROW_PX)


@pytest.mark.parametrize(
    ("button", "name"),
    [("openTeachButton", "teach"), ("openMeasurementsButton", "measurements"), ("chooseEnvironmentButton", None)],
)
def test_buttons_that_lead_to_a_section_show_it_also_when_it_is_open_already(button, name, small_dock, ui):
    if name is None:
        pytest.skip("leads to a file dialog where no environment is known")
    for _twice in range(2):
        small_dock.area.verticalScrollBar().setValue(0)
        person.click(getattr(ui, button))
        person.process_events(50)
        assert 0 <= small_dock.place(header(ui, name)).top() <= small_dock.area.viewport().height() - 100


@pytest.mark.parametrize("name", [None, *SECTIONS])
def test_the_tab_key_goes_through_the_panel_as_one_reads(name, small_dock, ui):
    person.click(ui.sampleDataButton)
    if name is not None:
        open_section(ui, name)
    places = [small_dock.place(entry) for entry in focus_chain(small_dock)]
    assert len(places) > 5
    for before, after in itertools.pairwise(places):
        is_below = after.top() > before.top() + ROW_PX
        is_right = abs(after.top() - before.top()) <= ROW_PX and after.x() >= before.x()
        assert is_below or is_right, (before, after)


def focus_chain(dock):
    """The visible widgets of the panel in the order of the Tab key."""
    entry, found = dock.panel.nextInFocusChain(), []
    while entry is not dock.panel:
        takes_tab = entry.focusPolicy() & QtCore.Qt.FocusPolicy.TabFocus
        is_own = dock.panel.isAncestorOf(entry) and entry.isVisible() and entry.focusProxy() is None
        if takes_tab and is_own and not isinstance(entry.parent().parent(), QtWidgets.QAbstractScrollArea):
            found.append(entry)
        entry = entry.nextInFocusChain()
    return found


def test_no_text_of_the_panel_names_a_section_by_a_number():
    module = Path(__file__).resolve().parents[2] / "MgImplantSeg"
    numbered = re.compile(r"\bsections? \d|>\d\w?  \w", re.IGNORECASE)
    texts = {path.name: path.read_text("utf-8") for path in module.rglob("*") if path.suffix in (".py", ".ui", ".md")}
    assert not [name for name, text in texts.items() if numbered.search(text)]


def test_details_open_in_a_window_with_the_whole_card(ui, widget):
    person.click(ui.modelDetailsButton)
    text = widget.panel.models.details.text()
    assert "What to report, and what not" in text and "Licence" in text
    assert len(ui.modelCardLabel.text.splitlines()) == 2
    copy, close, more = (
        buttons_of(widget.panel.models.details.dialog)[key] for key in ("Copy", "Close", "How it was made")
    )
    person.click(copy)
    assert slicer.app.clipboard().text() == text
    person.click(more)
    assert widget.panel.models.details.text().startswith(text.rstrip()) and "from random weights" not in text
    assert "from random weights" in widget.panel.models.details.text()
    person.click(more)
    assert widget.panel.models.details.text() == text
    person.click(close)
    assert widget.panel.models.details.dialog.isHidden()
    person.click(ui.modelDetailsButton)
    assert not widget.panel.models.details.dialog.isHidden()


def buttons_of(dialog):
    import qt

    return {button.text: button for button in dialog.findChildren(qt.QPushButton)}
