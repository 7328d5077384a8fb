"""What label values mean: values are whole numbers, whoever wrote the scheme."""

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import LabelScheme
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
