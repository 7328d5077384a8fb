"""Scale bar and legend that are drawn over an off-screen 3D picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

TEXT_RGB = (0.1, 0.1, 0.1)
MARGIN = 0.035
TEXT_SIZE = 0.024


def nice_length_mm(longest_mm: float) -> float:
    """The longest length of 1, 2 or 5 times a power of ten that is not above `longest_mm`."""
    power = 10.0 ** math.floor(math.log10(longest_mm))
    return max(step * power for step in (1, 2, 5) if step * power <= longest_mm * (1 + 1e-9))


def length_text(length_mm: float) -> str:
    """A length with a unit that reads well: 200 µm, 1 mm."""
    return f"{length_mm * 1000:g} µm" if length_mm < 1 else f"{length_mm:g} mm"


def add_scale_bar(renderer: Any, width: int, height: int) -> float:
    """Draw a scale bar at the lower right; the camera must be in parallel projection. Returns its length in mm."""
    mm_per_pixel = 2 * renderer.GetActiveCamera().GetParallelScale() / height
    length_mm = nice_length_mm(0.25 * width * mm_per_pixel)
    length = length_mm / mm_per_pixel
    margin, thickness = MARGIN * height, max(2, round(0.006 * height))
    right = width - margin
    renderer.AddViewProp(_rectangle(right - length, margin, length, thickness, TEXT_RGB))
    size = round(TEXT_SIZE * height)
    text = _text(length_text(length_mm), right - length / 2, margin + 1.6 * thickness, size)
    text.GetTextProperty().SetJustificationToCentered()
    renderer.AddViewProp(text)
    return length_mm


def add_legend(renderer: Any, entries: Sequence[tuple[str, tuple[float, float, float]]], height: int) -> None:
    """Draw a coloured square with a name for each (name, RGB), in a row from the lower left."""
    margin, size = MARGIN * height, round(TEXT_SIZE * height)
    left, extent = margin, [0.0, 0.0]
    for name, color_rgb in entries:
        text = _text(name, left + 1.4 * size, margin - 0.05 * size, size)
        text.GetSize(renderer, extent)
        renderer.AddViewProp(_rectangle(left, margin, size, size, color_rgb))
        renderer.AddViewProp(text)
        left += extent[0] + 2.6 * size


def add_color_bar(renderer: Any, lookup_table: Any, title: str, width: int, height: int) -> None:
    """Draw a horizontal colour bar with its numbers and title at the lower left."""
    from vtkmodules.vtkRenderingAnnotation import vtkScalarBarActor

    margin, size = MARGIN * height, round(TEXT_SIZE * height)
    bar = vtkScalarBarActor()
    bar.SetLookupTable(lookup_table)
    bar.SetOrientationToHorizontal()
    bar.SetNumberOfLabels(4)
    bar.SetLabelFormat("%.3g")
    bar.UnconstrainedFontSizeOn()
    bar.SetTextPositionToPrecedeScalarBar()
    bar.SetBarRatio(0.4)
    for coordinate, place in (
        (bar.GetPositionCoordinate(), (margin + size, margin)),
        (bar.GetPosition2Coordinate(), (0.5 * width, 2.4 * size)),
    ):
        coordinate.SetCoordinateSystemToDisplay()
        coordinate.SetReferenceCoordinate(None)  # type: ignore[arg-type] # VTK takes no reference as None
        coordinate.SetValue(*place)
    _set_style(bar.GetLabelTextProperty(), size)
    renderer.AddViewProp(bar)
    renderer.AddViewProp(_text(title, margin, margin + 2.6 * size, size))


def _text(text: str, left: float, bottom: float, size: int) -> Any:
    from vtkmodules.vtkRenderingCore import vtkTextActor

    actor = vtkTextActor()
    actor.SetInput(text)
    actor.SetPosition(left, bottom)
    _set_style(actor.GetTextProperty(), size)
    actor.GetTextProperty().SetVerticalJustificationToBottom()
    return actor


def _set_style(text_property: Any, size: int) -> None:
    text_property.SetFontFamilyToArial()
    text_property.SetFontSize(size)
    text_property.SetColor(*TEXT_RGB)
    text_property.ItalicOff()
    text_property.BoldOff()
    text_property.ShadowOff()


def _rectangle(left: float, bottom: float, width: float, height: float, color_rgb: tuple[float, ...]) -> Any:
    from vtkmodules.vtkFiltersSources import vtkPlaneSource
    from vtkmodules.vtkRenderingCore import vtkActor2D, vtkPolyDataMapper2D

    source = vtkPlaneSource()
    source.SetOrigin(left, bottom, 0)
    source.SetPoint1(left + width, bottom, 0)
    source.SetPoint2(left, bottom + height, 0)
    mapper = vtkPolyDataMapper2D()
    mapper.SetInputConnection(source.GetOutputPort())
    actor = vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*color_rgb)
    return actor
