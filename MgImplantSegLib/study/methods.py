"""The methods of a study worded for a paper, from what is recorded in the results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from MgImplantSegLib import __version__
from MgImplantSegLib.study.analysis import Comparison
from MgImplantSegLib.study.difference import INDEPENDENT, OVERLAPPING, PAIRED, STRATIFIED
from MgImplantSegLib.study.interaction import INTERACTION
from MgImplantSegLib.study.permutation import DRAWN
from MgImplantSegLib.study.samples import Study, StudySample

PAPER = "Baltruschat et al., Sci. Rep. 11:24237, 2021"
SYMBOLS = ("DR", "VL", "BIC", "BV/TV")
TESTS = {
    INDEPENDENT: "Welch's t-test",
    PAIRED: "the paired t-test where the same animals had both",
    OVERLAPPING: "the t-test of Derrick et al. (2017) where some animals had both",
}
POOLED = ", pooled over time points with weights n₁n₂/(n₁ + n₂) and Satterthwaite's degrees of freedom"
OF_CHANGES = (
    "The interaction of group and time point was tested as the difference of the groups' changes between two time "
    "points, animals seen at both being pairs, with Satterthwaite's degrees of freedom; where every animal was seen at "
    "both this is Welch's t-test of the animals' changes, the counterpart of a mixed model with animals as random "
    "effect, and was accompanied by an exact permutation test of these changes."
)
EFFECT_SIZES = (
    "Effect sizes are Hedges' g* with the standard deviation √((SD₁² + SD₂²)/2), Hedges' small-sample correction and "
    "95 % intervals from the non-central t distribution (Delacre et al. 2021). Permutation tests of the difference "
    f"were exact, or used {DRAWN} random arrangements."
)


def methods_text(study: Study, comparisons: Sequence[Comparison] = ()) -> list[str]:
    """Paragraphs: segmentation, measures, statistics; what is not recorded in the results is left out."""
    paragraphs = [_segmentation(study.done), _measures(study.done)]
    if study.is_grouped:
        paragraphs.append(_statistics(study, comparisons))
    return [paragraph for paragraph in paragraphs if paragraph]


def distinct(samples: Iterable[StudySample], read: Callable[[StudySample], Any]) -> list[str]:
    """The different values that are known, as text, in the order of the samples."""
    return list(dict.fromkeys(str(value) for sample in samples if (value := read(sample)) not in (None, "")))


def _planes_text(key: str) -> str:
    if not key.isdigit():
        return f"the slicing plane {key}"
    return f"{key} slicing plane{'' if key == '1' else 's'}"


def _segmentation(samples: Sequence[StudySample]) -> str:
    models = distinct(samples, lambda sample: sample.segmentation.get("model"))
    if not models:
        return ""
    hashes = distinct(samples, lambda sample: sample.segmentation.get("model_hash"))
    versions = distinct(samples, lambda sample: sample.inputs.get("software_version"))
    of_hashes = f", weights {_or(hashes)}" if hashes else ""
    first = (
        f"Scans were segmented into bone, degradation layer and residual material by a 2D U-Net ({PAPER}) with "
        f"MgImplantSeg {_or(versions) or __version__} (model {_or(models)}{of_hashes})"
    )
    parts = [first]
    if planes := distinct(samples, lambda sample: sample.segmentation.get("planes")):
        parts.append(f"applied along {_or([_planes_text(key) for key in planes])}")
    if fusion := distinct(samples, lambda sample: sample.segmentation.get("fusion")):
        parts.append(f"fused by {_or(fusion)} voting")
    if spacing := distinct(samples, lambda sample: _number(sample.segmentation.get("spacing_um"))):
        parts.append(f"at a voxel size of {_or(spacing)} µm")
    after = distinct(samples, lambda sample: sample.segmentation.get("postprocessing"))
    tail = f" Post-processing: {_or(after)}." if after else ""
    return ", ".join(parts) + "." + tail


def _measures(samples: Sequence[StudySample]) -> str:
    sentences = []
    grids = distinct(samples, _voxel_text)
    if grids:
        sentences.append(f"Measures were taken on voxels of {_or(grids)} µm.")
    for symbol in SYMBOLS:
        entries = [entry for sample in samples for entry in sample.measures if entry["symbol"] == symbol]
        for text in dict.fromkeys(map(_definition, entries)):
            sentences.append(text)
    times = distinct(samples, lambda sample: _number(sample.inputs.get("time_days")))
    if times:
        sentences.append(f"Time of degradation: {_or(times)} days.")
    return " ".join(sentences)


def _definition(entry: Any) -> str:
    said = f"{str(entry['name']).capitalize()} ({entry['symbol']}, {entry['unit']}), {entry['region']}"
    definition, method = str(entry.get("definition", "")).rstrip("."), str(entry.get("method", ""))
    return f"{said}: {definition}{f' ({method})' if method else ''}."


def _statistics(study: Study, comparisons: Sequence[Comparison]) -> str:
    animals = len({sample.animal for sample in study.done})
    sentences = [
        f"{len(study.done)} implants of {animals} animals were evaluated. The animal was the statistical unit: several "
        "implants of an animal in the same group at the same time point were averaged first. Values are mean ± "
        "standard deviation over animals."
    ]
    tested = [entry.found for entry in comparisons if entry.found.method]
    if tested:
        kinds = [words for method, words in TESTS.items() if any(found.method == method for found in tested)]
        is_pooled = any(found.method == STRATIFIED for found in tested)
        sentences.append(
            "Groups and time points were compared by differences of means with 95 % confidence intervals and "
            f"{_and(kinds)}{POOLED if is_pooled else ''}, two-sided; p was corrected after Holm (1979) for all "
            "comparisons of a measure of the same kind."
        )
        if any(found.method == INTERACTION for found in tested):
            sentences.append(OF_CHANGES)
        sentences.append(EFFECT_SIZES)
    missing = sum(sample.state != "done" for sample in study.samples)
    sentences.append(
        "Undefined values were left out, never replaced; their number is given."
        + (f" {missing} of {len(study.samples)} samples have no result." if missing else "")
    )
    return " ".join(sentences)


def _voxel_text(sample: StudySample) -> str | None:
    spacing = sample.inputs.get("spacing_zyx_um")
    if not isinstance(spacing, list) or len(spacing) != 3 or not all(map(_is_number, spacing)):
        return None
    steps = [f"{step:.4g}" for step in reversed(spacing)]
    return steps[0] if len(set(steps)) == 1 else " × ".join(steps)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> str | None:
    return f"{value:g}" if _is_number(value) else None


def _or(values: Sequence[str]) -> str:
    return _joined(values, "or")


def _and(values: Sequence[str]) -> str:
    return _joined(values, "and")


def _joined(values: Sequence[str], word: str) -> str:
    return " ".join(filter(None, [", ".join(values[:-1]), word if len(values) > 1 else "", *values[-1:]]))
