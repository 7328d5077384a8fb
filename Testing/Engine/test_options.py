"""An option is said once: its field gives the help, the words, the key of resumable work and the provenance."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import pytest
from threshold_model import save_threshold_model

from MgImplantSegLib.base.choices import Choice, Registry
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.option_kinds import File, Number, OneOf, ResultFile, SomeOf, Yes
from MgImplantSegLib.base.options import (
    add_options,
    option,
    options_of,
    record,
    require_valid,
    values_of,
    words,
)
from MgImplantSegLib.cli.elsewhere import given, word
from MgImplantSegLib.cli.parser import Parser
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.inference.backends import BACKENDS
from MgImplantSegLib.inference.device import DEVICES, PRECISIONS, Device
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.postprocess import POSTPROCESSING
from MgImplantSegLib.inference.segmenter import segment_volume
from MgImplantSegLib.io import FORMATS
from MgImplantSegLib.jobs.agent.schedulers import SCHEDULERS, scheduler_class
from MgImplantSegLib.jobs.request import InputPath
from MgImplantSegLib.networks import NETWORKS
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.quantification import MEASURES, SURFACE_METHODS, QuantifyOptions, quantify
from MgImplantSegLib.quantification.measures.common_lengths import COMMON_LENGTHS
from MgImplantSegLib.quantification.measures.contact_methods import CONTACT_METHODS
from MgImplantSegLib.quantification.measures.rate_forms import RATE_FORMS
from MgImplantSegLib.training.loop.losses import LOSSES
from MgImplantSegLib.training.settings.schedules import SCHEDULES

SEGMENT, QUANTIFY = SegmentOptions("m.mgmodel"), QuantifyOptions()
DECLARED = [(options, entry) for options in (SEGMENT, QUANTIFY) for entry in options_of(type(options))]
EACH_OPTION = pytest.mark.parametrize(("options", "entry"), DECLARED, ids=[entry.name for _, entry in DECLARED])


@dataclass(frozen=True)
class MoreSegmentOptions(SegmentOptions):
    """As a new field of `SegmentOptions`."""

    sharpening_um: float = option("sharpen edges of this width in µm", Number("µm", zero=True), 0.0)


@dataclass(frozen=True)
class MoreQuantifyOptions(QuantifyOptions):
    """As a new field of `QuantifyOptions`."""

    pore_mm: float = option("ignore pores up to this width in mm", Number("mm", zero=True), 0.0)


def other_value(entry):
    """A valid value of an option besides its default."""
    kind = entry.option.kind
    if isinstance(kind, Device):
        return "cuda:2"
    if isinstance(kind, SomeOf):
        return ("contact", "volumes")
    if isinstance(kind, OneOf):
        return next(key for key in kind.choices if key != entry.default)
    return 2 * (entry.default or 1.0) if isinstance(kind, Number) else "other.mgmodel"


def parsed(declaration, written) -> argparse.Namespace:
    parser = Parser()
    add_options(parser, declaration)
    return parser.parse_all(written)


@EACH_OPTION
def test_another_value_changes_the_words_and_the_key_if_it_may_change_the_result(options, entry):
    changed = replace(options, **{entry.name: other_value(entry)})
    assert words(changed) != words(options)
    assert (record(changed) != record(options)) == entry.option.changes_result


@EACH_OPTION
def test_the_words_are_read_back_as_the_value(options, entry):
    changed = replace(options, **{entry.name: other_value(entry)})
    back = {found.name: value for found, value in values_of(parsed(type(options), words(changed)), type(options))}
    assert back[entry.name] == other_value(entry)


@pytest.mark.parametrize(
    ("options", "entry"), [pair for pair in DECLARED if pair[1].name not in ("model", "time_days")]
)  # any text is a model's name; a time that cannot be is told in the measure's note
def test_a_value_that_cannot_be_is_refused_by_its_name(options, entry):
    for wrong in (True, "nonsense", float("nan"), []):
        with pytest.raises(InputError, match=entry.name):
            replace(options, **{entry.name: wrong})


def test_only_device_backend_and_memory_leave_the_result_as_it_is():
    assert [entry.name for _, entry in DECLARED if not entry.option.changes_result] == [
        "device",
        "backend",
        "memory_gb",
    ]


def test_a_new_field_is_in_the_help_the_words_the_key_and_the_provenance_of_a_segmentation(tmp_path):
    parser = Parser()
    add_options(parser, MoreSegmentOptions)
    assert "--sharpening-um X" in parser.format_help() and "in µm (default: 0)" in parser.format_help()
    model = save_threshold_model(tmp_path / "m.mgmodel", 10.0)
    options = MoreSegmentOptions(model, planes="1", sharpening_um=2.5)
    assert words(options)[-2:] == ["--sharpening-um", "2.5"] and record(options)["sharpening_um"] == 2.5
    volume = Volume(np.arange(12**3, dtype=np.float32).reshape(12, 12, 12), Geometry((12, 12, 12), (0.01,) * 3))
    assert segment_volume(volume, options).provenance["sharpening_um"] == 2.5


def test_a_new_field_is_in_the_help_the_words_the_key_and_the_inputs_of_a_report():
    parser = Parser()
    add_options(parser, MoreQuantifyOptions)
    assert "--pore-mm X" in parser.format_help()
    options = MoreQuantifyOptions(pore_mm=0.1, measures=("volumes",))
    assert words(options)[-2:] == ["--pore-mm", "0.1"] and record(options)["pore_mm"] == 0.1
    report = quantify(LabelMap(np.ones((3, 3, 3), np.uint8), Geometry((3, 3, 3), (1.0,) * 3)), options)
    assert report.inputs["pore_mm"] == 0.1 and report.inputs["measures"] == ["volumes"]


def test_the_help_says_what_every_choice_means_and_what_holds_without_the_option():
    parser = Parser()
    add_options(parser, SegmentOptions)
    add_options(parser, QuantifyOptions)
    shown = " ".join(parser.format_help().split())
    assert "mean of the probabilities of all planes" in shown and "100 % high" not in shown
    assert "50 % high on balls" in shown and "(default: as stated in the model card)" in shown
    assert "(default: free memory)" in shown and "(default: 0.5)" in shown


def test_all_measures_are_one_word():
    assert words(QuantifyOptions(measures=tuple(MEASURES)))[2:4] == ["--measures", "all"]


@dataclass(frozen=True)
class Files:
    """Positional arguments, results, several files, and a flag."""

    image: str = option("a scan", File("IMAGE"), is_positional=True)
    out: str = option("a result", ResultFile("OUT"), None)
    roi: tuple = option("regions", File("R"), (), many=True)
    quick: bool = option("quick", Yes(), False)


def test_positional_words_come_first_and_several_values_each_with_their_flag():
    arguments = parsed(Files, ["--quick", "--roi", "a", "b", "--out", "o", "i.nrrd"])
    assert words(arguments, Files) == ["i.nrrd", "--out", "o", "--roi", "a", "--roi", "b", "--quick"]


def test_inputs_go_along_to_another_environment_and_results_keep_their_name_alone(tmp_path):
    (tmp_path / "scan.nrrd").touch()
    arguments = parsed(Files, [str(tmp_path / "scan.nrrd"), "--out", str(tmp_path / "-o.nrrd"), "--quick"])
    found = [word(*given) for given in given(lambda parser: add_options(parser, Files), arguments)]
    assert found == [InputPath(tmp_path / "scan.nrrd"), "--out=./-o.nrrd", "--quick"]


@EACH_OPTION
def test_every_option_reaches_another_environment(options, entry):
    changed = parsed(type(options), words(replace(options, **{entry.name: other_value(entry)})))
    found = [word(*given) for given in given(lambda parser: add_options(parser, type(options)), changed)]
    assert f"{entry.flag}={entry.option.kind.word(other_value(entry))}" in found


def test_a_registry_names_its_kind_all_keys_and_the_nearest():
    colours = Registry("a colour", {"red": Choice("red", "as blood"), "green": Choice("green")})
    assert colours.find("red").definition == "as blood"
    with pytest.raises(InputError, match=r"Expected a colour of red, green, got 'gren'\. Did you mean 'green'\?"):
        colours.find("gren")
    with pytest.raises(InputError, match=r"got \['red'\]"):
        colours.find(["red"])


def test_an_error_names_no_flag_and_each_way_to_use_the_engine_says_where_an_option_is_set():
    error = InputError("Expected more.", "Choose a larger ROI [[roi]], or the CPU [[device]].")
    assert str(error) == "Expected more. Choose a larger ROI, or the CPU."
    assert error.advice(lambda name: "--roi" if name == "roi" else "") == "Choose a larger ROI (--roi), or the CPU."


def test_options_that_only_a_subclass_has_are_checked_too():
    with pytest.raises(InputError, match="sharpening_um"):
        require_valid(MoreSegmentOptions("m", sharpening_um=-1.0))


REGISTRIES = [
    *(BACKENDS, COMMON_LENGTHS, CONTACT_METHODS, DEVICES, FORMATS, FUSIONS, LOSSES, MEASURES, NETWORKS, PLANE_SETS),
    *(POSTPROCESSING, PRECISIONS, RATE_FORMS, SCHEDULERS, SCHEDULES, SURFACE_METHODS),
]


@pytest.mark.parametrize(
    "registry",
    REGISTRIES,
    ids=lambda registry: registry.what,
)
def test_every_choice_says_what_it_is_and_a_wrong_name_is_refused_with_all_names(registry):
    assert all(entry.name and isinstance(entry.definition, str) for entry in registry.values())
    first = next(iter(registry))
    with pytest.raises(InputError, match="got 'x") as error:
        registry.find(f"x{first}")
    assert ", ".join(registry) in str(error.value)
    assert len(first) < 3 or "Did you mean" in error.value.remedy


def test_a_wrong_scheduler_is_refused_before_anything_is_loaded():
    with pytest.raises(InputError, match="Expected a scheduler of process, slurm, lsf, got 'slrum'") as error:
        scheduler_class("slrum")
    assert error.value.remedy == "Did you mean 'slurm'?"
