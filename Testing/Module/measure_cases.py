"""What the tests of the measures share: computing, reading the table, ROIs, and the engine's own numbers."""

from __future__ import annotations

import numpy as np
import slicer
from harness import person
from module_cases import ball_in_half_bone

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.scene.markups import add_roi_node


def compute(widget, ui):
    person.click(ui.computeButton)
    person.wait_until(lambda: not widget.panel.measurements.isRunning())
    assert table_node(ui) is not None, ui.measuresStateLabel.text
    return measures(ui)


def measures(ui):
    """Cells of the table by (symbol, region)."""
    table = table_node(ui).GetTable()
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    cells = [[table.GetValue(row, column).ToString() for column in range(len(names))] for row in range(rows_in(table))]
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    return {(row["Symbol"], row["Region"]): row for row in rows}


def rows_in(table):
    return table.GetNumberOfRows()


def table_node(ui):
    """The table node of the chosen segmentation; what the panel shows has to be its rows, or nothing without it."""
    from MgImplantSegSections.work.measuresStore import tableOf

    node = tableOf(ui.measuredSegmentationSelector.currentNode())
    shown = [row for row in person.rows_of(ui.measuresTable) if any(row[1:]) or ", " in row[0]]
    assert len(shown) == (node.GetNumberOfRows() if node is not None else 0)
    return node


def expected(**options):
    return quantify(ball_in_half_bone(), QuantifyOptions(distance_mm=0.06, **options), Events())


def add_roi(ui, box):
    node = add_roi_node(slicer.mrmlScene, box)
    ui.roiSelector.setCurrentNode(node)
    person.click(ui.addRoiButton)
    return node


def box_beside(ball_centre_mm=(0, 0, 0), size_mm=0.3, name="ROI A"):
    """A turned box around the ball's centre plus an offset."""
    grid = ball_in_half_bone().geometry
    centre = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2) + ball_centre_mm
    turned = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    return OrientedBox(tuple(centre), turned, (size_mm,) * 3, name)
