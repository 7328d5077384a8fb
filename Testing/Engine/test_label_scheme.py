"""What label values mean: values are whole numbers, whoever wrote the scheme."""

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.cli.segmentation_options import ROLES
from MgImplantSegLib.grids.labels import CANAL, CLASSES, CRACK, LabelScheme, Role, parse_roles
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io import read_label_map, write_label_map


@pytest.mark.parametrize("value", [1.5, "255", True, [255], {}, float("nan"), float("inf")])
def test_an_ignore_value_that_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError, match=r"whole numbers|label scheme"):
        LabelScheme.from_dict(LabelScheme().to_dict() | {"ignore_value": value})
    with pytest.raises(InputError, match="whole numbers"):
        LabelScheme(ignore_value=value)


@pytest.mark.parametrize("value", [1.5, "1", True, None, float("nan")])
def test_a_class_whose_value_is_no_whole_number_is_refused(value):
    data = LabelScheme().to_dict()
    data["labels"][1]["value"] = value
    with pytest.raises(InputError, match="label scheme"):
        LabelScheme.from_dict(data)


@pytest.mark.parametrize("value", [None, 255, 255.0, -1])
def test_whole_numbers_and_none_are_read(value):
    scheme = LabelScheme.from_dict(LabelScheme().to_dict() | {"ignore_value": value})
    assert scheme.ignore_value == value and not isinstance(scheme.ignore_value, float)


def test_numbers_of_numpy_are_whole_numbers_too():
    assert LabelScheme(ignore_value=np.uint8(255)).ignore_value == 255


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("name", ["Knochen (äußerer)", 'the "new" bone', "bone\\new", "骨"])
def test_names_with_any_characters_come_back_from_a_file(tmp_path, suffix, name):
    data = LabelScheme().to_dict()
    data["labels"][1]["name"] = name
    scheme = LabelScheme.from_dict(data)
    array = np.array([[[0, 1], [2, 3]]] * 2, np.uint8)
    write_label_map(LabelMap(array, Geometry(array.shape, (0.02,) * 3), scheme), tmp_path / f"a{suffix}")
    assert read_label_map(tmp_path / f"a{suffix}").scheme == scheme


def test_cracks_and_canals_are_background_by_role_and_segments_to_people():
    scheme = LabelScheme((*CLASSES, CRACK, CANAL))
    assert [label.segment_id for label in scheme.segments][-2:] == ["crack", "canal"]
    assert {label.role for label in scheme.labels[-2:]} == {Role.BACKGROUND}
    assert LabelScheme.from_dict(scheme.to_dict()) == LabelScheme((*CLASSES, CRACK, CANAL))


def test_cracks_and_canals_can_be_said_as_roles_and_the_words_mean_the_same_again():
    scheme = parse_roles("1=bone,2=degradation_layer,3=residual_material,7=crack,8=crack,9=canal,255=ignore")
    assert [label.segment_id for label in scheme.labels if label.is_opening] == ["crack_7", "crack_8", "canal"]
    assert parse_roles(ROLES.word(scheme)) == scheme


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nrrd", ".mha"])
def test_cracks_come_back_from_a_file(tmp_path, suffix):
    array = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    given = LabelMap(array, Geometry(array.shape, (0.02,) * 3), LabelScheme((*CLASSES, CRACK, CANAL)))
    write_label_map(given, tmp_path / f"labels{suffix}")
    found = read_label_map(tmp_path / f"labels{suffix}")
    assert np.array_equal(found.array, array)
    assert [(label.segment_id, label.value, label.type) for label in found.scheme.labels if label.is_opening] == [
        ("crack", 4, CRACK.type),
        ("canal", 5, CANAL.type),
    ]
