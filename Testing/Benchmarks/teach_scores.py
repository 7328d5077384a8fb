"""How a model of ``teach.py`` is measured: IoU on tested explants, in the usual way and in others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.io import read_label_map, read_volume
from MgImplantSegLib.model.file import load_model, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.training.loop.precision import choose_arithmetic
from MgImplantSegLib.training.teach.batch_statistics import renew_statistics
from MgImplantSegLib.training.teach.learning import PLANES
from MgImplantSegLib.training.teach.scan import read_scan
from MgImplantSegLib.training.teach.settings import Pair, TeachSettings

Scores = list[dict[str, float]]  # IoU by role and their mean, explant by explant


def iou(found: LabelMap, explant: Path) -> dict[str, float]:
    """IoU by role, and their mean."""
    result = evaluate(found, read_label_map(explant / "labels.seg.nrrd"))
    return {role: round(float(value), 4) for role, value in (result.iou_by_role | {"mean": result.mean_iou}).items()}


def scores_of_model(model: Path, explants: list[Path], planes: str = "3") -> Scores:
    """IoU of a model on explants, soft voting."""
    options = SegmentOptions(model, planes=planes)
    return [iou(segment_volume(read_volume(e / "image.nrrd"), options).label_map, e) for e in explants]


def scores_with_nine_planes(model: Path, explants: list[Path]) -> Scores:
    """The same with 9 planes."""
    return scores_of_model(model, explants, "9")


def scores_of_single_planes(model: Path, explants: list[Path]) -> Scores:
    """The mean of each axis plane on its own: what fusion is not needed for."""
    of_planes = [scores_of_model(model, explants, plane) for plane in ("rc", "cp", "pr")]
    return [
        {role: round(float(np.mean([score[role] for score in scores])), 4) for role in scores[0]}
        for scores in zip(*of_planes, strict=True)
    ]


def scores_of_adapted(model: Path, explants: list[Path]) -> Scores:
    """The same when the model gets the batch norm statistics of each explant before it is segmented."""
    card, weights = load_model(model)
    scores, adapted, settings = [], model.with_name("adapted.mgmodel"), TeachSettings()
    for explant in explants:
        pair = Pair(explant / "image.nrrd", explant / "labels.seg.nrrd", labelled="all")
        scan = read_scan(pair, card.preprocessing, card.label_scheme, model, Events())
        network = build_network(card.network)
        network.load_state_dict(weights)
        pixels = settings.batch_size * settings.patch_px**2
        arithmetic = choose_arithmetic("cpu", "auto")
        renew_statistics(
            network, [scan], PLANES, settings.statistics_slices, network.spec.size_multiple, pixels, arithmetic
        )
        save_model(adapted, card, network.state_dict())
        scores += scores_of_model(adapted, [explant])
    adapted.unlink()
    return scores


ALSO: dict[str, Callable[[Path, list[Path]], Scores]] = {
    "adapted": scores_of_adapted,
    "nine": scores_with_nine_planes,
    "single": scores_of_single_planes,
}
