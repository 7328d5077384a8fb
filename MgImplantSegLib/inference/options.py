"""How to segment: `SegmentOptions`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from MgImplantSegLib.base.option_kinds import Kind, Number, OneOf
from MgImplantSegLib.base.options import option, require_valid
from MgImplantSegLib.base.resources import DEFAULT_MODEL
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.inference.backends import BACKENDS
from MgImplantSegLib.inference.device import PRECISIONS, Device
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.inference.grids import GRIDS, INPUT
from MgImplantSegLib.inference.postprocess import POSTPROCESSING
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.planes.plane_sets import PLANE_SETS

OF_CARD = "as stated in the model card"


@dataclass(frozen=True)
class SegmentOptions:
    """How to segment. The fields made by `option` say themselves what they are.

    Raises InputError if a value is not valid.

    Parameters
    ----------
    roi : OrientedBox or None
        Only this region is segmented. The label map still has the whole grid; outside the region it has the
        scheme's ignore value, because nothing is known there.
    grid : str
        A key of `GRIDS`: on which grid the label map lies.
    """

    model: Path = option("model file, or name of a bundled model", Kind("M"), default_help=DEFAULT_MODEL)
    planes: str | None = option("slicing planes", OneOf(PLANE_SETS), None, default_help=OF_CARD)
    fusion: str | None = option(
        "how the predictions of the planes are combined", OneOf(FUSIONS), None, default_help=OF_CARD
    )
    device: str = option("where the network runs", Device(several=True), "auto", changes_result=False)
    precision: str = option("numeric precision of the network", OneOf(PRECISIONS), "auto")
    backend: str = option("inference backend", OneOf(BACKENDS), "auto", changes_result=False)
    postprocessing: str | None = option(
        "post-processing of the label map", OneOf(POSTPROCESSING), None, default_help=OF_CARD
    )
    roi: OrientedBox | None = None
    memory_gb: float | None = option(
        "memory limit of the process in GB",
        Number("GB", metavar="G"),
        None,
        default_help="free memory",
        changes_result=False,
    )
    grid: str = INPUT
    want_probabilities: bool = False
    want_disagreement: bool = False
    want_statistics: bool = False

    def __post_init__(self) -> None:
        require_valid(self)
        GRIDS.find(self.grid)

    def with_defaults_of(self, card: ModelCard) -> SegmentOptions:
        """The same options with the card's choices where there are none."""
        return replace(
            self,
            planes=self.planes or card.default_planes,
            fusion=self.fusion or card.default_fusion,
            postprocessing=self.postprocessing or card.default_postprocessing,
        )
