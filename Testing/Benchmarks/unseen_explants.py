"""The families of explants that no training sees: `FAMILIES`, each a function (seed, size, spacing_um) → scan, labels.

They differ from `MgImplantSegLib.simulation` and from each other in code, not only in seeds: shapes, corrosion, bone,
texture and the way the scan comes about. Nothing is trained or chosen on them; what is measured here is reported.
"""

from __future__ import annotations

from collections.abc import Callable

import lab_explants
import layered_explants
import other_explants
import projected_explants

from MgImplantSegLib.grids.volume import LabelMap, Volume

Family = Callable[[int, int, float], tuple[Volume, LabelMap]]

FAMILIES: dict[str, Family] = {
    "projected": projected_explants.explant,
    "layered": layered_explants.explant,
    "lab": lab_explants.explant,
    "other": other_explants.explant,
}
