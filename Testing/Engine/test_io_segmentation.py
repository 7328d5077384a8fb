"""Slicer's segmentation files: what is written, and what is read from layers, crops, terminologies and names."""

import logging

import nrrd
import numpy as np
import pytest
from io_cases import LEFT_HANDED, ORIGIN_LPS_MM, label_values

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.cli.parser import flag_of
from MgImplantSegLib.grids.labels import CLASSES, DEFAULT_SCHEME, LabelScheme, Role, parse_roles
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io import read_label_map, read_volume, write_label_map

COLUMNS_LPS = LEFT_HANDED.index_xyz_to_lps_mm[:3, :3].T
BONE_TERMS = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~SCT^3138006^Bone~^^~A~^^~^^"
)
IMPLANT_TERMS = "X~SCT^260787004^Physical object~SCT^40388003^Implant~^^~A~^^~^^"
DEFAULT_TERMS = "X~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~A~^^~^^"


def segment_keys(index, value, identity, name, terms=DEFAULT_TERMS, layer=0):
    return {
        f"Segment{index}_ID": identity,
        f"Segment{index}_Name": name,
        f"Segment{index}_LabelValue": str(value),
        f"Segment{index}_Layer": str(layer),
        f"Segment{index}_Color": "0.1 0.2 0.3",
        f"Segment{index}_Tags": f"Segmentation.Status:inprogress|TerminologyEntry:{terms}|",
    }


def write_seg(path, array, *segments, **fields):
    """A file as Slicer writes it: array (z, y, x), or (z, y, x, layer)."""
    directions = COLUMNS_LPS if array.ndim == 3 else np.vstack([np.full(3, np.nan), COLUMNS_LPS])
    header = {
        "space": "left-posterior-superior",
        "space directions": directions,
        "space origin": ORIGIN_LPS_MM,
        "kinds": ["list"] * (array.ndim - 3) + ["domain"] * 3,
        "Segmentation_MasterRepresentation": "Binary labelmap",
    }
    for keys in segments:
        header |= keys
    nrrd.write(str(path), array, header | fields, index_order="C")
    return path


def write_default(path, **fields):
    names = ("bone", "degradation layer", "residual material")
    keys = [segment_keys(i, i + 1, label.segment_id, names[i]) for i, label in enumerate(CLASSES[1:])]
    return write_seg(path, label_values(), *keys, **fields)


def test_the_header_names_every_class_as_slicer_does(tmp_path):
    write_label_map(LabelMap(label_values(), LEFT_HANDED), tmp_path / "a.seg.nrrd")
    header = nrrd.read_header(str(tmp_path / "a.seg.nrrd"))
    assert header["Segment1_ID"] == "degradation_layer"
    assert header["Segment1_Name"] == "degradation layer"
    assert header["Segment1_LabelValue"] == "2"
    assert header["Segment1_Layer"] == "0"
    assert header["Segment1_Color"] == "0.29 0.62 0.9"
    assert header["Segment1_Extent"] == "3 5 2 3 2 3"
    assert header["Segment0_Extent"] == "1 2 1 3 1 2"
    assert "~SCT^85756007^Tissue~SCT^3138006^Bone~" in header["Segment0_Tags"]
    assert header["Segment0_Tags"].startswith("TerminologyEntry:") and header["Segment0_Tags"].endswith("|")
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert header["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    assert header["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    assert "smoothing" not in header["Segmentation_ConversionParameters"].lower()


def test_absent_classes_have_no_segment_and_an_empty_label_map_is_read_back(tmp_path):
    write_label_map(LabelMap((label_values() == 1).astype(np.uint8), LEFT_HANDED), tmp_path / "a.seg.nrrd")
    assert "Segment1_ID" not in nrrd.read_header(str(tmp_path / "a.seg.nrrd"))
    write_label_map(LabelMap(np.zeros((4, 5, 6), bool), LEFT_HANDED), tmp_path / "b.seg.nrrd")
    empty = read_label_map(tmp_path / "b.seg.nrrd")
    assert not empty.array.any() and not empty.mask(Role.BONE).any()


def test_values_without_a_class_are_not_written(tmp_path):
    with pytest.raises(InputError, match=r"got also \[9\]"):
        write_label_map(
            LabelMap(label_values() * 3, LEFT_HANDED, parse_roles("3=bone,6=bone")), tmp_path / "a.seg.nrrd"
        )
    assert list(tmp_path.iterdir()) == []


def test_what_is_ignored_stays_ignored(tmp_path):
    scheme = LabelScheme(CLASSES, ignore_value=255)
    array = label_values()
    array[0] = 255
    write_label_map(LabelMap(array, LEFT_HANDED, scheme), tmp_path / "a.seg.nrrd")
    label_map = read_label_map(tmp_path / "a.seg.nrrd")
    np.testing.assert_array_equal(label_map.ignore_mask(), array == 255)
    np.testing.assert_array_equal(label_map.mask(Role.BONE), array == 1)


LAYER_TERMS = "X~A^b^c~99MGIMPLANTSEG^DL^Layer~^^~A~^^~^^"


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("DL", Role.DEGRADATION_LAYER),
        ("Degradation_Layer (DL)", Role.DEGRADATION_LAYER),
        ("Corrosion products", Role.DEGRADATION_LAYER),
        ("rm", Role.RESIDUAL_MATERIAL),
        (" Residual material ", Role.RESIDUAL_MATERIAL),
        ("ResidualMetal", Role.RESIDUAL_MATERIAL),
        ("Bone", Role.BONE),
        ("Bone_2", Role.BONE),
        ("trabecular bone", Role.BONE),
        ("soft tissue", Role.BACKGROUND),
        ("air", Role.BACKGROUND),
    ],
)
@pytest.mark.parametrize(
    ("identity", "terms"),
    [("Segment_1", DEFAULT_TERMS), ("bone", BONE_TERMS), ("degradation_layer", LAYER_TERMS), ("background", "")],
)
def test_the_name_that_slicer_shows_tells_the_role_whatever_is_hidden(tmp_path, identity, terms, name, role):
    mask = (label_values() == 1).astype(np.uint8)
    label_map = read_label_map(write_seg(tmp_path / "a.seg.nrrd", mask, segment_keys(0, 1, identity, name, terms)))
    assert label_map.scheme.by_value(1).role is role
    assert label_map.scheme.by_value(1).name == name.strip()
    np.testing.assert_array_equal(label_map.mask(role) & (label_map.array > 0), mask == 1)


@pytest.mark.parametrize(
    ("identity", "terms", "name", "warning"),
    [
        ("bone", DEFAULT_TERMS, "metal", "its segment ID means bone"),
        ("S1", IMPLANT_TERMS, "bone", "its terminology means residual material"),
        ("bone", BONE_TERMS, "soft tissue", "its segment ID means bone and its terminology means bone"),
        ("bone", DEFAULT_TERMS, "ignore", "taken as not labelled"),
        ("bone", BONE_TERMS, "cortical bone", ""),
        ("S1", DEFAULT_TERMS, "bone", ""),
        ("residual_material", IMPLANT_TERMS, "screw", ""),
    ],
)
def test_a_hidden_code_that_means_something_else_is_told_and_nothing_else_is(
    tmp_path, caplog, identity, terms, name, warning
):
    mask = (label_values() == 1).astype(np.uint8)
    with caplog.at_level(logging.WARNING):
        read_label_map(write_seg(tmp_path / "a.seg.nrrd", mask, segment_keys(0, 1, identity, name, terms)))
    assert (warning in caplog.text) if warning else caplog.text == ""


@pytest.mark.parametrize("name", ["bone marrow", "not bone", "Segment_1", "metal artefact", ""])
@pytest.mark.parametrize(("identity", "terms"), [("bone", DEFAULT_TERMS), ("S1", BONE_TERMS)])
def test_a_name_without_a_role_is_an_error_and_never_bone_by_a_hidden_code(tmp_path, identity, terms, name):
    if not name and identity == "bone":
        return  # without a name Slicer shows nothing, and the ID stands in for it
    mask = (label_values() == 1).astype(np.uint8)
    path = write_seg(tmp_path / "a.seg.nrrd", mask, segment_keys(0, 1, identity, name, terms))
    with pytest.raises(InputError, match="names state their role") as caught:
        read_label_map(path)
    assert "--roles" in caught.value.advice(flag_of)


def test_segments_that_exchanged_their_names_exchange_their_roles_and_come_back_so(tmp_path):
    segments = [
        segment_keys(0, 1, "bone", "bone"),
        segment_keys(1, 2, "degradation_layer", "residual material"),
        segment_keys(2, 3, "residual_material", "degradation layer"),
    ]
    label_map = read_label_map(write_seg(tmp_path / "a.seg.nrrd", label_values(), *segments))
    np.testing.assert_array_equal(label_map.mask(Role.RESIDUAL_MATERIAL), label_values() == 2)
    assert {label.segment_id for label in label_map.scheme.labels} == {label.segment_id for label in CLASSES}
    write_label_map(label_map, tmp_path / "b.seg.nrrd")
    again = read_label_map(tmp_path / "b.seg.nrrd")
    np.testing.assert_array_equal(again.mask(Role.RESIDUAL_MATERIAL), label_values() == 2)


def test_unknown_segments_are_listed_with_the_way_to_map_them(tmp_path):
    path = write_seg(
        tmp_path / "a.seg.nrrd",
        label_values(),
        segment_keys(0, 1, "S1", "bone"),
        segment_keys(1, 2, "S2", "stuff"),
        segment_keys(2, 3, "S3", "rm"),
    )
    with pytest.raises(InputError, match=r"got 2: stuff .*1: bone, 2: stuff, 3: rm") as caught:
        read_label_map(path)
    assert "--roles" in caught.value.advice(flag_of)
    label_map = read_label_map(path, parse_roles("1=bone,2=degradation_layer,3=residual_material"))
    np.testing.assert_array_equal(label_map.array, label_values())


def test_an_unknown_segment_without_voxels_does_no_harm(tmp_path):
    mask = (label_values() == 1).astype(np.uint8)
    path = write_seg(
        tmp_path / "a.seg.nrrd", mask, segment_keys(0, 1, "S1", "bone"), segment_keys(1, 2, "S2", "Segment_2")
    )
    assert read_label_map(path).mask(Role.BONE).sum() == mask.sum()


def test_two_segments_may_be_bone(tmp_path):
    labels = np.minimum(label_values(), 2)
    path = write_seg(
        tmp_path / "a.seg.nrrd",
        labels,
        segment_keys(0, 1, "S1", "bone", BONE_TERMS),
        segment_keys(1, 2, "S2", "cortical", BONE_TERMS),
    )
    np.testing.assert_array_equal(read_label_map(path).mask(Role.BONE), labels > 0)


def test_overlapping_layers_are_merged_the_later_segment_on_top(tmp_path, caplog):
    bone, metal = np.zeros((2, 4, 5, 6), np.uint8)
    bone[:, 1:4, 1:5], metal[1:3, 2:5, 3:6] = 1, 1
    path = write_seg(
        tmp_path / "a.seg.nrrd",
        np.stack([bone, metal], axis=-1),
        segment_keys(0, 1, "bone", "bone"),
        segment_keys(1, 1, "residual_material", "metal", layer=1),
    )
    with caplog.at_level(logging.WARNING):
        label_map = read_label_map(path)
    np.testing.assert_array_equal(label_map.mask(Role.RESIDUAL_MATERIAL), metal == 1)
    np.testing.assert_array_equal(label_map.mask(Role.BONE), (bone == 1) & (metal == 0))
    assert f"{int((bone & metal).sum())} voxels belong to several segments" in caplog.text
    assert label_map.geometry.same_grid(LEFT_HANDED)


def test_layers_share_values_and_segments_share_layers(tmp_path):
    """Layer 0 holds bone = 1 and metal = 2, layer 1 holds the degradation layer = 1."""
    first, second = np.zeros((2, 4, 5, 6), np.uint8)
    first[0, :2], first[1, 3:], second[2:] = 1, 2, 1
    path = write_seg(
        tmp_path / "a.seg.nrrd",
        np.stack([first, second], axis=-1),
        segment_keys(0, 1, "bone", "bone"),
        segment_keys(1, 1, "degradation_layer", "DL", layer=1),
        segment_keys(2, 2, "residual_material", "RM"),
    )
    label_map = read_label_map(path)
    np.testing.assert_array_equal(label_map.mask(Role.BONE), first == 1)
    np.testing.assert_array_equal(label_map.mask(Role.RESIDUAL_MATERIAL), first == 2)
    np.testing.assert_array_equal(label_map.mask(Role.DEGRADATION_LAYER), second == 1)


def test_files_from_before_slicer_4_11_have_one_layer_per_segment(tmp_path):
    masks = np.stack([label_values() == value for value in (1, 2)], axis=-1).astype(np.uint8)
    keys = [{f"Segment{i}_ID": f"S{i}", f"Segment{i}_Name": name} for i, name in enumerate(("bone", "rm"))]
    label_map = read_label_map(write_seg(tmp_path / "a.seg.nrrd", masks, *keys))
    np.testing.assert_array_equal(label_map.mask(Role.BONE), label_values() == 1)
    np.testing.assert_array_equal(label_map.mask(Role.RESIDUAL_MATERIAL), label_values() == 2)


def test_a_colour_with_opacity_is_read_without_it(tmp_path):
    label_map = read_label_map(write_default(tmp_path / "a.seg.nrrd", Segment0_Color="0.1 0.2 0.3 1"))
    assert label_map.scheme.segments[0].color_rgb == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Segment1_Layer": "7"}, "layers up to 7"),
        ({"Segment1_LabelValue": "two"}, "segment 1"),
        ({"Segment0_Color": "red"}, "segment 0"),
        ({"Segment0_Color": "0.5 0.5"}, "segment 0 .* 2 values where three belong"),
        ({"Segmentation_MasterRepresentation": "Closed surface"}, "Closed surface"),
    ],
)
def test_damaged_or_other_segmentations_are_refused(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        read_label_map(write_default(tmp_path / "a.seg.nrrd", **fields))


REFERENCES = {
    "larger": ("0;7;0;6;0;5;", (6, 7, 8)),
    "smaller": ("0;1;0;1;0;1;", (4, 5, 6)),
    "immense": ("0;99999999;0;99999999;0;99999999;", None),
    "no numbers": ("a;b;c;", (4, 5, 6)),
    "not a number": ("0;nan;0;inf;0;5;", (4, 5, 6)),
    "empty": ("0;-1;0;-1;0;-1;", (4, 5, 6)),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_voxels_around_a_crop_are_background_when_the_reference_grid_is_usable(tmp_path, kind):
    extent, shape_zyx = REFERENCES[kind]
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ LEFT_HANDED.index_xyz_to_lps_mm
    matrix = "".join(f"{value!r};" for value in to_ras.ravel().tolist())
    parameters = f"Smoothing factor|0.5|x&Reference image geometry|{matrix}{extent}|y&"
    path = write_default(tmp_path / "a.seg.nrrd", Segmentation_ConversionParameters=parameters)
    if shape_zyx is None:
        with pytest.raises(InputError, match="reference image that fits the segments"):
            read_label_map(path)
        return
    label_map = read_label_map(path)
    assert label_map.array.shape == shape_zyx
    np.testing.assert_array_equal(label_map.array[:4, :5, :6], label_values())
    assert label_map.array[4:].sum() == label_map.array[:, 5:].sum() == label_map.array[:, :, 6:].sum() == 0


def test_a_segmentation_under_another_name_is_still_one(tmp_path):
    path = write_default(tmp_path / "labels.nrrd")
    label_map = read_label_map(path)
    assert label_map.scheme.by_value(2).role is Role.DEGRADATION_LAYER
    assert label_map.scheme.by_value(2).color_rgb == (0.1, 0.2, 0.3)


def test_a_segmentation_is_no_grey_value_image(tmp_path):
    with pytest.raises(InputError, match="grey-value image"):
        read_volume(write_default(tmp_path / "a.seg.nrrd"))


def test_names_beyond_ascii_survive(tmp_path):
    labels = tuple(
        label if label.value != 1 else type(label)(**{**vars(label), "name": "Knochen µ"}) for label in CLASSES
    )
    write_label_map(LabelMap(label_values(), LEFT_HANDED, LabelScheme(labels)), tmp_path / "a.seg.nrrd")
    label = read_label_map(tmp_path / "a.seg.nrrd").scheme.by_value(1)
    assert label.name == "bone (Knochen µ)" and label.role is Role.BONE


@pytest.mark.parametrize("values", [[0, 1, 2, 4], [0, 255], [0, -1]])
def test_values_without_a_role_are_listed_with_the_way_to_map_them(tmp_path, values):
    array = np.array(values, np.int16)[label_values() % len(values)]
    nrrd.write(str(tmp_path / "a.nrrd"), array, index_order="C")
    with pytest.raises(InputError, match=f"got also {values[-1]} ") as caught:
        read_label_map(tmp_path / "a.nrrd")
    assert "--roles" in caught.value.advice(flag_of)


def test_whole_numbers_in_floats_are_labels_and_fractions_are_not(tmp_path):
    nrrd.write(str(tmp_path / "a.nrrd"), label_values().astype(np.float32), index_order="C")
    label_map = read_label_map(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(label_map.array, label_values())
    assert label_map.array.dtype == np.uint8
    for bad in (0.5, np.nan, np.inf, 1e12):
        array = label_values().astype(np.float32)
        array[1, 1, 1] = bad
        nrrd.write(str(tmp_path / "b.nrrd"), array, index_order="C")
        with pytest.raises(InputError, match=r"whole numbers|32 bits"):
            read_label_map(tmp_path / "b.nrrd")


def test_other_numbering_is_read_with_roles(tmp_path):
    array = np.array([5, 7, 9, -1], np.int16)[label_values()]
    nrrd.write(str(tmp_path / "a.nrrd"), array, index_order="C")
    scheme = parse_roles("5=background,7=bone,9=residual_material,-1=ignore")
    label_map = read_label_map(tmp_path / "a.nrrd", scheme)
    np.testing.assert_array_equal(label_map.mask(Role.BONE), label_values() == 1)
    np.testing.assert_array_equal(label_map.ignore_mask(), label_values() == 3)
    assert read_label_map(tmp_path / "a.nrrd", scheme).scheme is not DEFAULT_SCHEME
