"""A section of the panel is a Python file, a .ui file, an entry, and a field for a choice that a scene keeps."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import slicer
from changed_tree import changes, replace
from harness import install, person
from module_cases import add_volume

CHECKOUT = Path(__file__).resolve().parents[2]
SECTION = '''"""Counts the voxels above a grey value."""

import slicer


class CountSection:
    """Count and show."""

    def __init__(self, workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self.ui.countButton.connect("clicked(bool)", self.onCount)

    def onCount(self):
        volume = self.workbench.parameters.inputVolume
        voxels = slicer.util.arrayFromVolume(volume) > self.workbench.parameters.countAbove
        self.ui.countLabel.text = f"{voxels.sum()} voxels"
'''
UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>CountPanel</class>
 <widget class="qMRMLWidget" name="CountPanel">
  <layout class="QVBoxLayout" name="countPanelLayout">
   <item>
    <widget class="ctkCollapsibleButton" name="countSection">
     <property name="text"><string>Count</string></property>
     <property name="collapsed"><bool>true</bool></property>
     <layout class="QVBoxLayout" name="countLayout">
      <item>
       <widget class="QDoubleSpinBox" name="countSpinBox">
        <property name="maximum"><double>100000.0</double></property>
        <property name="SlicerParameterName" stdset="0"><string notr="true">countAbove</string></property>
       </widget>
      </item>
      <item>
       <widget class="QPushButton" name="countButton">
        <property name="text"><string>Count</string></property>
       </widget>
      </item>
      <item><widget class="QLabel" name="countLabel"/></item>
     </layout>
    </widget>
   </item>
  </layout>
 </widget>
</ui>
"""
CHANGED = {
    "MgImplantSegSections/parameters.py",
    "MgImplantSegSections/sections/countSection.py",
    "MgImplantSegSections/sections/panel.py",
    "Resources/UI/Count.ui",
}


@pytest.fixture
def added_section(qt_application, tmp_path, monkeypatch):
    """A copy of the module with one more section, from which the panel is opened."""
    copy = tmp_path / "tree" / "MgImplantSeg"
    shutil.copytree(CHECKOUT / "MgImplantSeg", copy)
    sections = copy / "MgImplantSegSections"
    (sections / "sections" / "countSection.py").write_text(SECTION, "utf-8")
    (copy / "Resources" / "UI" / "Count.ui").write_text(UI, "utf-8")
    panel = sections / "sections" / "panel.py"
    replace(panel, "FOLDED = (", 'FOLDED = ("Count", ')
    compare = "from MgImplantSegSections.sections.compareSection import CompareSection\n"
    replace(panel, compare, compare + "from MgImplantSegSections.sections.countSection import CountSection\n")
    display = "        self.display3D = "
    replace(panel, display, f"        self.count = CountSection(workbench)\n{display}")
    replace(sections / "parameters.py", "    boneOpacity", "    countAbove: float = 0.0\n    boneOpacity")
    monkeypatch.setattr(install, "MODULE_FILE", copy / "MgImplantSeg.py")
    return copy


def test_a_section_is_at_most_four_files_and_cmake_finds_them(added_section):
    found = changes(CHECKOUT / "MgImplantSeg", added_section)
    assert found == CHANGED
    globs = re.findall(r'CONFIGURE_DEPENDS "([^"]+)"', (added_section / "CMakeLists.txt").read_text("utf-8"))
    packed = {path for glob in globs for path in (added_section / Path(glob).parent).rglob(Path(glob).name)}
    assert {added_section / name for name in found} <= packed


def test_an_added_section_folds_like_the_others_and_its_choice_is_saved_with_the_scene(added_section, widget, ui):
    volume = add_volume(slicer.mrmlScene)
    widget.enter()
    ui.countSection.collapsed = False
    assert ui.compareSection.collapsed and not ui.countSection.collapsed
    values = slicer.util.arrayFromVolume(volume)
    ui.countSpinBox.value = float(values.mean())
    person.click(ui.countButton)
    assert ui.countLabel.text == f"{(values > values.mean()).sum()} voxels"
    assert float(widget.panel.workbench.parameters.countAbove) == pytest.approx(float(values.mean()), abs=0.01)
    ui.compareSection.collapsed = False
    assert ui.countSection.collapsed
