"""How many clicks and words a person needs: counted on the way that the tutorial goes."""

import re

import pytest
from harness import person
from harness.person import Dock
from PySide6 import QtWidgets

MOST_WORDS = 149
CLICKS_TO_3D, CLICKS_TO_RATE, CLICKS_TO_TAUGHT = 4, 6, 12
OPENING = 1  # the module, by its name or its icon


class Person:
    """Clicks, and counts; a choice in a combo box is two clicks."""

    def __init__(self):
        self.clicks = OPENING

    def click(self, button):
        self.clicks += 1
        person.click(button)

    def open(self, section):
        self.clicks += 1
        section.collapsed = False
        person.process_events()

    def choose(self, combo, text):
        self.clicks += 2
        person.choose(combo, text)


def words(dock):
    """All words that can be read in the panel without opening anything; cells of tables are results."""
    texts = [label.text() for label in dock.shown(QtWidgets.QLabel)]
    texts += [button.text() for button in dock.shown(QtWidgets.QAbstractButton)]
    texts += [combo.currentText() for combo in dock.shown(QtWidgets.QComboBox)]
    texts += [box.text() for box in dock.shown(QtWidgets.QAbstractSpinBox)]
    texts += [box.title() for box in dock.shown(QtWidgets.QGroupBox)]
    sections = [entry for entry in dock.shown(QtWidgets.QWidget) if type(entry).__name__ == "ctkCollapsibleButton"]
    texts += [entry.property("text") for entry in sections]
    for view in dock.shown(QtWidgets.QHeaderView):
        texts += [str(view.model().headerData(i, view.orientation()) or "") for i in range(view.count())]
    return [word for text in texts for word in re.sub("<[^>]*>", " ", text).split() if re.search(r"\w", word)]


@pytest.fixture
def dock(widget):
    shown = Dock(widget, 407, 485)
    yield shown
    shown.close()


def test_from_an_empty_scene_to_3d_in_4_clicks_and_to_the_rate_in_6_more_with_under_150_words(
    dock, widget, ui, tiny_model
):
    widget.panel.models.add(tiny_model)  # a small one, so that the test is quick
    user = Person()
    user.click(ui.sampleDataButton)
    user.click(ui.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    user.click(ui.show3DButton)
    person.wait_until(lambda: not widget.panel.display3D.isRunning())
    assert "triangles" in ui.segmentStatusLabel.text, ui.segmentStatusLabel.text
    assert user.clicks <= CLICKS_TO_3D
    assert len(words(dock)) <= MOST_WORDS
    until_3d = user.clicks
    user.click(ui.openMeasurementsButton)
    user.click(ui.computeButton)
    person.wait_until(lambda: not widget.panel.measurements.isRunning())
    assert re.match(r"DR\s-?[\d.]+\smm/\u2060year", ui.measuresHeadlineLabel.text), ui.measuresStateLabel.text
    assert user.clicks - until_3d <= CLICKS_TO_RATE
    assert len(words(dock)) - len(words_of(ui.measuresStateLabel)) <= MOST_WORDS, words(dock)


def words_of(fixed_text):
    return fixed_text.label.text.split()  # what is shown of it


def test_the_counting_itself_sees_what_is_unfolded(dock, ui):
    before = len(words(dock))
    ui.advancedSection.collapsed = False
    person.process_events()
    assert len(words(dock)) > before + 20
