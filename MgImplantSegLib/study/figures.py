"""Figures of a study as SVG, whose texts can be edited, and PNG: groups, time, profiles, rate against contact."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from MgImplantSegLib.base.plain_text import one_line
from MgImplantSegLib.quantification.figures import new_figure, save_figure
from MgImplantSegLib.study.analysis import CONTACT, RATE, correlation_points, time_text
from MgImplantSegLib.study.numbers import deviation, mean
from MgImplantSegLib.study.profiles import Profile, ProfileKind, profile_kinds, profile_of
from MgImplantSegLib.study.samples import Cell, Quantity, Study

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LETTERS_OF_TICK, WIDTH_OF_BOX_INCH = 14, 1.25
LONGEST_NAME, HEIGHT_INCH, WIDTH_OF_PANEL_INCH = 40, 3.4, 3.2
MAIN_SYMBOLS = ("DR", "VL", "BIC", "BV/TV", "V_r", "V_DL")


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn: the stem of its files, its caption, what draws it, and its width."""

    stem: str
    caption: str
    draw: Callable[[Any], None]
    width_inch: float = 5.0

    def write(self, folder: Path) -> list[str]:
        """Draw it into a folder as SVG and PNG; returns the names of the files.

        Raises DependencyError if matplotlib is missing.
        """
        figure = new_figure(folder / f"{self.stem}.svg")
        figure.set_size_inches(self.width_inch, HEIGHT_INCH)
        self.draw(figure)
        names = [f"{self.stem}.svg", f"{self.stem}.png"]
        for name in names:
            save_figure(figure, folder / name)
        return names


def study_drawings(study: Study) -> list[Drawing]:
    """The figures that this study has data for; of a single sample its profiles."""
    of_groups = [*_of_measures(study), *_of_correlation(study)] if study.is_grouped else []
    drawn: dict[str, Drawing] = {}
    for drawing in (*of_groups, *_of_profiles(study)):
        stem, number = drawing.stem, 2
        while stem in drawn:
            stem, number = f"{drawing.stem}_{number}", number + 1
        drawn[stem] = replace(drawing, stem=stem)
    return list(drawn.values())


def _of_measures(study: Study) -> Iterator[Drawing]:
    times = [time_days for time_days in study.times if math.isfinite(time_days)]
    shown = [quantity for quantity in study.quantities if quantity.symbol in MAIN_SYMBOLS]
    for quantity in sorted(shown, key=lambda entry: MAIN_SYMBOLS.index(entry.symbol)):
        cells = [cell for cell in study.cells(quantity) if cell.animals]
        if not cells:
            continue
        stem, title = _stem(quantity.symbol, quantity.region), quantity.title
        words = "large points: animals; small points: implants"
        yield Drawing(
            f"groups_{stem}",
            f"{title}: boxes with median and quartiles; {words}.",
            partial(_draw_boxes, quantity=quantity, cells=cells, study=study),
            max(5.0, len(cells) * WIDTH_OF_BOX_INCH),
        )
        if len(times) > 1:
            yield Drawing(
                f"time_{stem}",
                f"{title} over time: mean ± standard deviation over animals; {words}.",
                partial(_draw_lines, quantity=quantity, cells=cells, study=study),
            )


def _of_profiles(study: Study) -> Iterator[Drawing]:
    for kind in profile_kinds(study):
        panels = [(time_days, list(_profiles(study, kind, time_days))) for time_days in study.times]
        panels = [panel for panel in panels if panel[1]]
        if panels:
            yield Drawing(
                f"profile_{_stem(kind.symbol, kind.region, kind.x_name)}",
                f"{kind.symbol}, {kind.region}, over {kind.x_name}: mean ± standard deviation over animals.",
                partial(_draw_profiles, kind=kind, panels=panels, study=study),
                max(5.0, len(panels) * WIDTH_OF_PANEL_INCH),
            )


def _of_correlation(study: Study) -> Iterator[Drawing]:
    pair = [next((q for q in study.quantities if q.symbol == symbol), None) for symbol in (RATE, CONTACT)]
    if pair[0] is not None and pair[1] is not None:
        x, y = pair[0], pair[1]
        points = correlation_points(study, x, y)
        if len(points) > 1:
            yield Drawing(
                "rate_and_contact",
                f"{y.title} against {x.title}: one point per animal and time point.",
                partial(_draw_points, x=x, y=y, points=points, study=study),
            )


def _profiles(study: Study, kind: ProfileKind, time_days: float) -> Iterator[tuple[str, Profile]]:
    for group in study.groups:
        found = profile_of(study.members(group, time_days), kind)
        if found is not None:
            yield group, found


def _draw_boxes(figure, quantity: Quantity, cells: Sequence[Cell], study: Study) -> None:
    axes = figure.subplots()
    for place, cell in enumerate(cells):
        color, values = _color(study, cell.group), list(cell.animals.values())
        axes.boxplot(
            values,
            positions=[place],
            widths=0.5,
            showfliers=False,
            whis=(0, 100),
            medianprops={"color": color},
            boxprops={"color": color},
            whiskerprops={"color": color},
            capprops={"color": color},
        )
        _points(axes, place, cell, color, _marker(study, cell.group), 0.12)
    axes.set_xticks(range(len(cells)), [_two_lines(cell, study) for cell in cells], fontsize="small")
    axes.set_ylabel(_label(quantity.symbol, quantity.unit))
    axes.set_title(shown_text(quantity.region), fontsize="medium")


def _draw_lines(figure, quantity: Quantity, cells: Sequence[Cell], study: Study) -> None:
    axes = figure.subplots()
    width = 0.02 * max(cell.time_days for cell in cells if math.isfinite(cell.time_days))
    for index, group in enumerate(study.groups):
        of_group = [cell for cell in cells if cell.group == group and math.isfinite(cell.time_days)]
        if not of_group:
            continue
        color, marker = _color(study, group), _marker(study, group)
        moved = (index - (len(study.groups) - 1) / 2) * width
        x = [cell.time_days + moved for cell in of_group]
        values = [list(cell.animals.values()) for cell in of_group]
        errors = [deviation(found) if len(found) > 1 else 0.0 for found in values]
        means = [mean(found) for found in values]
        axes.errorbar(x, means, errors, color=color, capsize=3, label=shown_text(group), linewidth=1.5)
        for place, cell in zip(x, of_group, strict=True):
            _points(axes, place, cell, color, marker, 0.25 * width)
    axes.set_xlabel("time [days]")
    axes.set_ylabel(_label(quantity.symbol, quantity.unit))
    axes.set_title(shown_text(quantity.region), fontsize="medium")
    axes.legend(frameon=False)


def _draw_profiles(figure, kind: ProfileKind, panels, study: Study) -> None:
    shown = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (time_days, profiles) in zip(shown, panels, strict=True):
        for group, profile in profiles:
            color = _color(study, group)
            edges = [*profile.low, profile.high[-1]]
            label = f"{shown_text(group)}, n = {profile.animals}"
            axes.stairs(profile.means, edges, baseline=None, color=color, linewidth=1.5, label=label)
            middle, spread = np.nan_to_num(np.array([profile.means, profile.deviations]))
            axes.stairs(
                middle + spread, edges, baseline=middle - spread, fill=True, color=color, alpha=0.18, linewidth=0
            )
        axes.set_xlabel(_label(kind.x_name, kind.x_unit))
        axes.set_title(time_text(time_days) if math.isfinite(time_days) else "", fontsize="medium")
        axes.legend(frameon=False, fontsize="small")
    shown[0].set_ylabel(_label(kind.symbol, kind.unit))


def _draw_points(figure, x: Quantity, y: Quantity, points, study: Study) -> None:
    axes = figure.subplots()
    times = study.times
    for group in study.groups:
        for index, time_days in enumerate(times):
            of_cell = [p for p in points if p[0] == group and time_text(p[1]) == time_text(time_days)]
            if of_cell:
                label = shown_text(group if len(times) == 1 else f"{group}, {time_text(time_days)}")
                marker = MARKERS[index % len(MARKERS)]
                axes.plot(
                    [p[2] for p in of_cell],
                    [p[3] for p in of_cell],
                    marker,
                    color=_color(study, group),
                    label=label,
                    markersize=5,
                )
    axes.set_xlabel(_label(x.symbol, x.unit))
    axes.set_ylabel(_label(y.symbol, y.unit))
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _points(axes, place: float, cell: Cell, color: str, marker: str, width: float) -> None:
    """The animals as large points, the implants as small ones, side by side in the order of their values."""
    animals = sorted(cell.animals.values())
    axes.plot(_spread(place, len(animals), width), animals, marker, color=color, markersize=5, alpha=0.8)
    if len(cell.implants) > len(animals):
        implants = sorted(cell.implants)
        axes.plot(_spread(place, len(implants), 1.6 * width), implants, ".", color=color, markersize=3, alpha=0.5)


def _spread(place: float, count: int, width: float) -> np.ndarray:
    steps = np.arange(count) % 3 - 1 if count > 1 else np.zeros(1)
    return place + width * steps


def shown_text(text: str) -> str:
    """A name in a figure: short, in one line, never a formula."""
    line = one_line(text)
    short = line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"
    return short.replace("$", r"\$")


def _label(name: str, unit: str) -> str:
    return f"{shown_text(name)} [{shown_text(unit)}]"


def _two_lines(cell: Cell, study: Study) -> str:
    of_time = f"{time_text(cell.time_days)}, " if len(study.times) > 1 else ""
    name = "\n".join(wrap(one_line(cell.group)[:LONGEST_NAME], LETTERS_OF_TICK)).replace("$", r"\$")
    return f"{name}\n{of_time}n = {len(cell.animals)}"


def _color(study: Study, group: str) -> str:
    return COLORS[study.groups.index(group) % len(COLORS)]


def _marker(study: Study, group: str) -> str:
    return MARKERS[study.groups.index(group) % len(MARKERS)]


def _stem(*texts: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", " ".join(texts)).strip("_")
    return words[:60] or "figure"
