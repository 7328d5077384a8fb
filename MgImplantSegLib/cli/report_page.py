"""The page of a report: what is shown of a study, and in which order."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Iterator, Sequence

from MgImplantSegLib import __version__
from MgImplantSegLib.base.machine import package_version
from MgImplantSegLib.cli.report_samples import sample_elements
from MgImplantSegLib.cli.report_warnings import warnings_of
from MgImplantSegLib.cli.tables import value_text
from MgImplantSegLib.cli.web_page import Element, Heading, Lines, Links, Paragraph, Picture, Pictures, Table, WebPage
from MgImplantSegLib.study.analysis import BY_CHANGE, Comparison, GroupSummary, MeasuredCorrelation, time_text
from MgImplantSegLib.study.figures import MAIN_SYMBOLS
from MgImplantSegLib.study.methods import distinct, methods_text
from MgImplantSegLib.study.numbers import Interval
from MgImplantSegLib.study.samples import ANIMAL, DONE, Quantity, Study

HONEST_WORDS = (
    "The bundled model was trained on simulated explants only. For research use only; train or fine-tune on your own "
    "scans and check against your own labels before you publish numbers."
)
BUNDLED = "mgimplantseg-"
NO_ANIMALS = (
    "No animals are named: each sample counts as a separate animal. If several implants come from one animal, the "
    "intervals are too narrow and p is too small; name the animals in the manifest."
)
PACKAGES = ("numpy", "scipy", "torch", "SimpleITK", "vtk", "matplotlib")


def page_of(
    study: Study,
    summaries: Sequence[GroupSummary],
    comparisons: Sequence[Comparison],
    correlations: Sequence[MeasuredCorrelation],
    figures: Sequence[Picture],
    title: str = "",
    files: Links | None = None,
) -> WebPage:
    """The whole report; of a single sample without statistics."""
    elements: list[Element] = [Paragraph(text) for text in _first_words(study)]
    if study.is_grouped:
        elements += _overview(study)
        elements += _group_tables(study, summaries)
        elements += _comparison_tables(comparisons)
        elements += _correlation_table(correlations)
    if figures:
        elements += [Heading("Figures", "figures"), Pictures(figures)]
    elements.append(Heading("Samples" if study.is_grouped else "Sample", "samples"))
    for sample in study.samples:
        elements += sample_elements(sample, is_one_of_many=study.is_grouped)
    elements.append(Heading("Methods", "methods"))
    elements += [Paragraph(text) for text in methods_text(study, comparisons)]
    elements += _origin(study)
    elements += [Heading("Files", "files"), files] if files else []
    return WebPage(title or _title(study), elements)


def _title(study: Study) -> str:
    if study.is_grouped:
        return f"MgImplantSeg: study of {len(study.samples)} samples"
    sample = study.samples[0]
    return f"MgImplantSeg: {sample.facts.get('title') or sample.name}"


def _first_words(study: Study) -> Iterator[str]:
    if any(name.startswith(BUNDLED) for name in distinct(study.done, lambda sample: sample.segmentation.get("model"))):
        yield HONEST_WORDS
    else:
        yield "For research use only. Not a medical device."
    if not study.is_grouped:
        return
    named = [sample for sample in study.samples if sample.study.get(ANIMAL)]
    if not named:
        yield NO_ANIMALS
    elif len(named) < len(study.samples):
        names = ", ".join(sample.name for sample in study.samples if not sample.study.get(ANIMAL))
        yield f"No animal is named for {names}: each counts as a separate animal."


def _overview(study: Study) -> Iterator[Element]:
    yield Heading("Overview", "overview")
    rows = [
        (group, time_text(time_days), str(animals), str(implants))
        for group, time_days, animals, implants in study.counts()
    ]
    yield Table("Groups and time points", ("group", "time point", "animals", "implants"), rows)
    lost = [sample for sample in study.samples if sample.state != DONE]
    if lost:
        lines = [f"{sample.name}: {sample.state}. {sample.problem}".strip() for sample in lost]
        yield Table("Samples without results", ("sample",), [(line,) for line in lines])
    if said := warnings_of([(sample.name, sample.warnings) for sample in study.samples]):
        yield Table("Warnings", ("warning", "samples"), said)


def _group_tables(study: Study, summaries: Sequence[GroupSummary]) -> Iterator[Element]:
    yield Heading("Groups", "groups")
    yield Paragraph(
        "Mean ± standard deviation over animals. An animal with several implants counts with the mean of these."
    )
    for quantity in _main(entry.quantity for entry in summaries if entry.animals):
        entries = [entry for entry in summaries if entry.quantity == quantity]
        rows = [
            (
                entry.group,
                time_text(entry.time_days),
                _plus_minus(entry.mean, entry.standard_deviation),
                interval_text(entry.interval),
                f"{value_text(entry.lowest)} to {value_text(entry.highest)}" if entry.animals else "–",
                f"{entry.animals} ({entry.implants})",
                str(entry.missing),
            )
            for entry in entries
        ]
        header = ("group", "time point", "mean ± SD", "95 % CI of the mean", "range", "animals (implants)", "undefined")
        yield Table(quantity.title, header, rows)


def _comparison_tables(comparisons: Sequence[Comparison]) -> Iterator[Element]:
    main = [entry for entry in comparisons if entry.quantity.symbol in MAIN_SYMBOLS]
    known = {entry.quantity for entry in main if entry.found.animals_first or entry.found.animals_second}
    shown = [
        entry for entry in main if entry.quantity in known
    ]  # one that nobody could measure stands with the samples
    if not shown:
        return
    yield Heading("Comparisons", "comparisons")
    yield Paragraph(
        "Difference of the means over animals, second minus first, with its 95 % confidence interval, and Hedges' g* "
        "with its own; then p of the t-test with Holm's correction, and p of the permutation test. Changes of groups "
        "from one time point to another are the interaction of group and time point."
    )
    for quantity in _main(entry.quantity for entry in shown):
        rows = [_comparison_row(entry) for entry in shown if entry.quantity == quantity]
        header = ("within", "comparison", "difference [95 % CI]", "g* [95 % CI]", "p (Holm)", "p (perm.)", "animals")
        yield Table(quantity.title, header, rows)
        notes = [
            f"{_compared(e)}, {e.within}: {e.found.note}" for e in shown if e.quantity == quantity and e.found.note
        ]
        if notes:
            yield Lines(notes)


def _comparison_row(entry: Comparison) -> tuple[str, ...]:
    found = entry.found
    where = "at both times" if entry.kind == BY_CHANGE else "in both"
    both = f", {found.animals_both} {where}" if found.animals_both else ""
    return (
        entry.within,
        _compared(entry),
        _with_interval(found.difference, found.interval),
        _with_interval(found.effect_size, found.effect_interval),
        probability_text(entry.p_holm),
        probability_text(found.permutation.p),
        f"{found.animals_first}, {found.animals_second}{both}",
    )


def _compared(entry: Comparison) -> str:
    if entry.kind == BY_CHANGE:
        return f"change of {entry.second} − change of {entry.first}"
    return f"{entry.second} − {entry.first}"


def _correlation_table(correlations: Sequence[MeasuredCorrelation]) -> Iterator[Element]:
    if not correlations:
        return
    first = correlations[0]
    rows = [
        (
            entry.within,
            str(entry.found.count),
            _with_interval(entry.found.r, entry.found.interval),
            value_text(entry.found.rho),
            probability_text(entry.found.p),
            entry.found.note,
        )
        for entry in correlations
    ]
    yield Heading("Degradation and contact", "correlation")
    yield Paragraph(
        "One point per animal and time point. Differences between groups and time points alone can produce a "
        "correlation; the last row is free of this effect."
    )
    header = ("over", "animals", "Pearson's r [95 % CI]", "Spearman's ρ", "p", "note")
    yield Table(f"{first.x.title} and {first.y.title}", header, rows)


def _origin(study: Study) -> Iterator[Element]:
    yield Heading("Versions and commands", "origin")
    hashes = [
        f"model {name}, weights {digest}"
        for name, digest in dict.fromkeys(
            (str(sample.segmentation.get("model")), str(sample.segmentation.get("model_hash")))
            for sample in study.done
            if sample.segmentation.get("model")
        )
    ]
    made_with = distinct(study.done, lambda sample: sample.inputs.get("software_version"))
    versions = [f"{name} {version}" for name in PACKAGES if (version := package_version(name))]
    yield Lines(
        [
            *([f"measures: MgImplantSeg {', '.join(made_with)}"] if made_with else []),
            *hashes,
            f"report: MgImplantSeg {__version__}, Python {platform.python_version()}, {', '.join(versions)}",
        ]
    )
    if study.commands:
        yield Lines(study.commands, code=True)


def _main(quantities: Iterable[Quantity]) -> list[Quantity]:
    """The measures that are shown, each once, in their order of importance; the tables beside the page have all."""
    found = dict.fromkeys(quantity for quantity in quantities if quantity.symbol in MAIN_SYMBOLS)
    return sorted(found, key=lambda quantity: MAIN_SYMBOLS.index(quantity.symbol))


def _plus_minus(mean: float, deviation: float) -> str:
    return f"{value_text(mean)}\u00a0±\u00a0{value_text(deviation)}" if math.isfinite(mean) else "–"


def interval_text(interval: Interval) -> str:
    """``0.12 to 0.34``; a dash where it is undefined."""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return "–"
    return f"{value_text(interval.low)} to {value_text(interval.high)}"


def _with_interval(value: float, interval: Interval) -> str:
    return f"{value_text(value)} [{interval_text(interval)}]" if math.isfinite(value) else "–"


def probability_text(p: float) -> str:
    """``0.032``, ``< 0.001``; a dash where it is undefined."""
    if not math.isfinite(p):
        return "–"
    return "<\u00a00.001" if p < 0.001 else f"{p:.3f}"
