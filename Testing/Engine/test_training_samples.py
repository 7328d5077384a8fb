"""From files to memory-mapped samples: grids, label values, cache, splits, patches."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from training_cases import OBLIQUE, labelled_scan, small_config, write_sample, write_samples

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.grids.regions import OrientedBox, write_roi_markups
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.planes.plane_sets import axis_planes
from MgImplantSegLib.training.data import cache
from MgImplantSegLib.training.data.cache import cache_samples
from MgImplantSegLib.training.data.patches import PatchBatches, PatchSettings
from MgImplantSegLib.training.data.sample_files import expanded_samples
from MgImplantSegLib.training.data.samples import nearest_on_grid, read_sample
from MgImplantSegLib.training.data.split import with_validation_samples
from MgImplantSegLib.training.loop.distributed import World
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.settings.data_settings import SampleSettings

ALONE = World()


@pytest.fixture
def config(tmp_path):
    write_samples(tmp_path / "samples", 1)
    return small_config(tmp_path)


def only_sample(config, **changes) -> SampleSettings:
    (sample,) = expanded_samples(config.data.samples)
    return replace(sample, **changes)


def overwrite_labels(sample: SampleSettings, array: np.ndarray, geometry: Geometry) -> None:
    write_label_map(LabelMap(array, geometry), sample.labels)


def grid() -> Geometry:
    return Geometry((26, 24, 22), (0.02, 0.02, 0.02), (3.0, -2.0, 1.0), OBLIQUE)


def test_a_pattern_gives_one_sample_for_each_match_with_its_own_labels(tmp_path):
    write_samples(tmp_path / "samples", 2)
    samples = expanded_samples(small_config(tmp_path).data.samples)
    assert [sample.name for sample in samples] == ["s0", "s1"]
    assert samples[1].labels == tmp_path / "samples" / "s1" / "labels.nrrd"
    assert samples[1].group == "s1"


def test_patterns_and_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match=r"Expected files like .*samples/\*/image.nrrd, got none"):
        expanded_samples(small_config(tmp_path).data.samples)
    write_sample(tmp_path / "samples" / "s0", 0)
    (tmp_path / "samples" / "s0" / "labels.nrrd").unlink()
    with pytest.raises(InputError, match=r"the file .*labels.nrrd of the sample 's0', got none"):
        expanded_samples(small_config(tmp_path).data.samples)


def test_two_samples_of_one_name_are_refused(tmp_path):
    write_sample(tmp_path / "samples" / "s0", 0)
    entry = {"image": "samples/*/image.nrrd", "labels": "samples/*/labels.nrrd"}
    config = small_config(tmp_path, data={"samples": [entry, entry]})
    with pytest.raises(InputError, match="a different name for every sample, got s0 twice"):
        expanded_samples(config.data.samples)


def test_a_sample_is_read_with_grey_values_in_0_to_1_and_its_labels(config):
    sample = read_sample(only_sample(config), config.data, Events())
    _, labels = labelled_scan(0)
    assert sample.image.min() == 0
    assert sample.image.max() == 1
    assert np.array_equal(sample.channels, labels)


def test_own_numbers_become_channels_and_the_ignore_value_stays_unknown(config):
    _, labels = labelled_scan(0)
    own = np.array([0, 50, 60, 7])[labels].astype(np.int16)
    own[0] = -1
    roles = {"50": "bone", "60": "degradation_layer", "7": "residual_material"}
    settings = only_sample(config, roles=roles, ignore_value=-1)
    overwrite_labels(settings, own, grid())
    for same in (settings, only_sample(config, roles={**roles, "-1": "ignore"})):
        channels = read_sample(same, config.data, Events()).channels
        assert (channels[0] == IGNORE).all()
        assert np.array_equal(channels[1:], labels[1:])


def test_a_value_out_of_range_is_named_with_its_sample(config):
    _, labels = labelled_scan(0)
    labels[3, 4, 5] = 9
    settings = only_sample(config)
    overwrite_labels(settings, labels, grid())
    with pytest.raises(InputError, match=r"In the sample .s0.: .* got also 9 in") as caught:
        read_sample(settings, config.data, Events())
    assert "'s0'" in caught.value.message
    assert "ignore_value" in caught.value.remedy


def test_a_class_that_the_network_does_not_have_is_refused_only_where_it_occurs(tmp_path):
    write_samples(tmp_path / "samples", 1)
    config = small_config(tmp_path, data={"classes": ["background", "bone", "residual_material"]})
    settings = only_sample(config)
    with pytest.raises(InputError, match="got 2 in"):
        read_sample(settings, config.data, Events())
    _, labels = labelled_scan(0)
    labels[labels == 2] = 3
    overwrite_labels(settings, labels, grid())
    assert read_sample(settings, config.data, Events()).channels.max() == 2


def test_labels_of_a_part_of_the_volume_leave_the_rest_unknown(config):
    _, labels = labelled_scan(0)
    settings = only_sample(config)
    part = np.s_[5:20, 2:21, 3:19]
    overwrite_labels(settings, np.ascontiguousarray(labels[part]), grid().cropped((5, 2, 3), (15, 19, 16)))
    channels = read_sample(settings, config.data, Events()).channels
    expected = np.full(labels.shape, IGNORE)
    expected[part] = labels[part]
    assert np.array_equal(channels, expected)


def test_labels_that_list_the_same_voxels_along_other_axes_are_the_same_labels(config):
    _, labels = labelled_scan(0)
    settings = only_sample(config)
    last = grid().lps_from_index_zyx(np.array([25, 0, 0]))
    directions = grid().direction_matrix * [1, 1, -1]  # z runs backwards, then x and y change places
    turned = Geometry((26, 22, 24), (0.02,) * 3, tuple(last), tuple(directions[:, [1, 0, 2]].ravel()))
    overwrite_labels(settings, np.ascontiguousarray(labels[::-1].transpose(0, 2, 1)), turned)
    assert np.array_equal(read_sample(settings, config.data, Events()).channels, labels)


@pytest.mark.parametrize(
    ("shape", "geometry"),
    [
        ((26, 24, 21), Geometry((26, 24, 21), (0.02,) * 3, (4.0, -2.0, 1.0), OBLIQUE)),
        ((26, 24, 23), Geometry((26, 24, 23), (0.02,) * 3, (3.0, -2.0, 1.0), OBLIQUE)),
        ((26, 24, 22), Geometry((26, 24, 22), (0.02, 0.02, 0.03), (3.0, -2.0, 1.0), OBLIQUE)),
        ((26, 24, 22), Geometry((26, 24, 22), (0.02,) * 3, (3.0, -2.0, 1.0))),
        ((20, 20, 20), Geometry((20, 20, 20), (0.02,) * 3, (3.0, -1.99, 1.0), OBLIQUE)),
    ],
    ids=["outside", "larger", "other spacing", "other direction", "half a voxel apart"],
)
def test_labels_on_another_grid_are_refused(config, shape, geometry):
    settings = only_sample(config)
    overwrite_labels(settings, np.ones(shape, np.uint8), geometry)
    with pytest.raises(InputError, match="label map of the sample 's0'"):
        read_sample(settings, config.data, Events())


def test_outside_of_the_roi_nothing_is_known(config, tmp_path):
    centre = grid().lps_from_index_zyx(np.array([10, 12, 11]))
    axes = np.array(OBLIQUE).reshape(3, 3)
    box = OrientedBox(tuple(centre), axes, (0.10, 0.14, 0.06), "ROI")
    write_roi_markups([box], tmp_path / "r.mrk.json")
    channels = read_sample(only_sample(config, roi=tmp_path / "r.mrk.json"), config.data, Events()).channels
    _, labels = labelled_scan(0)
    expected = np.full(labels.shape, IGNORE)
    inside = np.s_[9:12, 9:16, 9:14]
    expected[inside] = labels[inside]
    assert np.array_equal(channels, expected)


def test_labels_come_to_another_spacing_by_nearest_neighbour():
    fine = Geometry((1, 1, 6), (0.02, 0.02, 0.02), (1.0, 2.0, 3.0), OBLIQUE)
    channels = np.array([0, 1, 2, 3, 1, 0], np.uint8)[None, None]
    coarse = fine.resampled((0.02, 0.02, 0.06))
    assert nearest_on_grid(channels, fine, coarse).tolist() == [[[1, 1]]]
    finer = fine.resampled((0.02, 0.02, 0.01))
    assert nearest_on_grid(channels, fine, finer).ravel().tolist() == np.repeat([0, 1, 2, 3, 1, 0], 2).tolist()


def test_an_image_and_labels_at_another_spacing_stay_together(tmp_path):
    shape = (20, 18, 16)
    geometry = Geometry(shape, (0.03, 0.02, 0.01), (1.0, 2.0, 3.0), OBLIQUE)
    labels = np.zeros(shape, np.uint8)
    labels[6:14, 4:12, 3:12] = 3
    folder = tmp_path / "samples" / "a"
    folder.mkdir(parents=True)
    write_volume(Volume(labels.astype(np.float32) * 70, geometry), folder / "image.nrrd")
    write_label_map(LabelMap(labels, geometry), folder / "labels.nrrd")
    config = small_config(tmp_path)
    sample = read_sample(only_sample(config), config.data, Events())
    assert sample.image.shape == sample.channels.shape == (30, 18, 8)
    middle = np.abs(sample.image - 0.5) < 0.2
    assert np.array_equal((sample.image > 0.5)[~middle], (sample.channels == 3)[~middle])
    assert middle.mean() < 0.15


def test_the_cache_holds_the_sample_memory_mapped_in_one_byte(config):
    (cached,) = cache_samples([only_sample(config)], config.data, Events())
    sample = read_sample(only_sample(config), config.data, Events())
    image, labels = cached.arrays(axis=0)
    assert isinstance(image, np.memmap)
    assert image.dtype == np.uint8
    assert np.abs(image / 255 - sample.image).max() <= 0.5 / 255 + 1e-6
    assert np.array_equal(labels, sample.channels)
    assert cached.voxels_per_class == tuple(np.bincount(sample.channels.ravel(), minlength=4))
    for channel in range(4):
        points = cached.places[f"class_{channel}"]
        assert len(np.unique(points, axis=0)) == len(points) > 0
        assert len(points) == cached.voxels_per_class[channel] or len(points) > 0.6 * cache.POINTS_PER_CLASS
        assert (sample.channels[tuple(points.T)] == channel).all()
    assert [len(cached.places[f"known_{axis}"]) for axis in range(3)] == list(sample.channels.shape)


def test_of_a_large_class_some_voxels_are_kept_from_everywhere(config, monkeypatch):
    monkeypatch.setattr(cache, "POINTS_PER_CLASS", 100)
    (cached,) = cache_samples([only_sample(config)], config.data, Events())
    _, labels = labelled_scan(0)
    for channel in range(4):
        points = cached.places[f"class_{channel}"]
        assert 60 <= len(points) <= 100
        assert (labels[tuple(points.T)] == channel).all()
        assert np.ptp(points[:, 0]) > 20


def test_large_volumes_have_a_second_copy_that_is_the_same_volume(config, monkeypatch):
    monkeypatch.setattr(cache, "VOXELS_WORTH_A_SECOND_COPY", 1)
    (cached,) = cache_samples([only_sample(config)], config.data, Events())
    for name, along_z, along_x in zip(("image", "labels"), cached.arrays(0), cached.arrays(2), strict=True):
        assert np.array_equal(along_z, along_x), name
        assert along_x[:, :, 3].flags.c_contiguous


def test_the_cache_is_used_again_until_content_or_settings_change(config):
    settings = only_sample(config)
    (first,) = cache_samples([settings], config.data, Events())
    mark = first.folder / "mark"
    mark.touch()
    assert cache_samples([settings], config.data, Events())[0].folder == first.folder
    assert mark.exists()
    finer = replace(config.data, cache_type="float16")
    assert cache_samples([settings], finer, Events())[0].folder != first.folder
    _, labels = labelled_scan(0)
    labels[0, 0, 0] = 3
    before = settings.labels.stat().st_mtime_ns
    overwrite_labels(settings, labels, grid())
    os.utime(settings.labels, ns=(before + 10**9, before + 10**9))
    assert cache_samples([settings], config.data, Events())[0].folder != first.folder


def test_a_damaged_list_of_digests_is_made_again(config):
    (first,) = cache_samples([only_sample(config)], config.data, Events())
    (config.data.cache / cache.DIGESTS).write_text("{ damaged", encoding="utf-8")
    assert cache_samples([only_sample(config)], config.data, Events())[0].folder == first.folder
    assert isinstance(json.loads((config.data.cache / cache.DIGESTS).read_text(encoding="utf-8")), dict)


def test_one_class_only_is_a_warning_and_no_label_at_all_an_error(config):
    settings, warnings = only_sample(config), []
    overwrite_labels(settings, np.ones((26, 24, 22), np.uint8), grid())
    cache_samples([settings], config.data, Events(warnings.append))
    assert "The sample 's0' holds one class only: bone." in [entry.get("message") for entry in warnings]
    with pytest.raises(InputError, match="Expected labels in the sample 's0', got the ignore value everywhere"):
        cache_samples([replace(settings, ignore_value=1, roles={"2": "bone"})], config.data, Events())


def entries(*groups_and_splits: tuple[str, str]) -> tuple[SampleSettings, ...]:
    return tuple(
        SampleSettings(f"{n}.nrrd", f"{n}l.nrrd", name=str(n), group=group, split=split)
        for n, (group, split) in enumerate(groups_and_splits)
    )


def test_a_share_of_the_groups_is_kept_for_validation():
    samples = entries(*[(group, "train") for group in "aabbccddee"])
    chosen = with_validation_samples(samples, 0.4, seed=0)
    validation = {sample.group for sample in chosen if sample.split == "validation"}
    assert len(validation) == 2
    assert all((sample.group in validation) == (sample.split == "validation") for sample in chosen)
    assert chosen == with_validation_samples(samples, 0.4, seed=0)


def test_validation_samples_that_are_named_are_kept():
    samples = entries(("a", "train"), ("b", "validation"))
    assert with_validation_samples(samples, 0.5, 0) == samples


def test_a_single_group_is_validated_on_itself():
    chosen = with_validation_samples(entries(("a", "train")), 0.2, 0)
    assert [(sample.name, sample.split) for sample in chosen] == [("0", "train"), ("0 (validation)", "validation")]


def test_a_group_in_two_splits_is_refused():
    with pytest.raises(InputError, match="each group in one split, got 'a' in train, validation"):
        with_validation_samples(entries(("a", "train"), ("a", "validation")), 0.2, 0)
    with pytest.raises(InputError, match='one sample with split "train"'):
        with_validation_samples(entries(("a", "test")), 0.2, 0)


def patch_batches(config, world=ALONE, **augmentation) -> PatchBatches:
    cached = cache_samples(expanded_samples(config.data.samples), config.data, Events())
    settings = PatchSettings(16, 4, 0.5, replace(config.augmentation, **augmentation), seed=5)
    return PatchBatches(cached, axis_planes("3"), settings, world)


def test_the_batches_of_two_processes_are_the_halves_of_the_batch_of_one(config):
    whole = patch_batches(config)[3]
    halves = [patch_batches(config, world=World(rank, 2))[3] for rank in (0, 1)]
    assert whole.seeds.tolist() == [seed for half in halves for seed in half.seeds.tolist()]
    with pytest.raises(InputError, match="got 4 patches for 3 processes"):
        patch_batches(config, world=World(0, 3))


def test_patches_come_from_all_three_planes_and_hold_their_balanced_class(config):
    batches = patch_batches(config)
    patches = [batches.choose(iteration, position) for iteration in range(40) for position in range(4)]
    assert {patch.plane.name for patch in patches} == {"rc", "cp", "pr"}
    assert all(0 <= patch.index < patch.sample.shape_zyx[patch.plane.axes[0]] for patch in patches)


def test_a_patch_is_the_piece_of_the_slice_that_its_affine_says(config):
    batches = patch_batches(config, unresampled_share=1.0)
    batch = batches[0]
    for position in range(4):
        patch = batches.choose(0, position)
        image, labels = patch.sample.arrays(patch.plane.axes[0])
        x, y = np.rint(patch.to_slice @ (3, 5, 1)).astype(int)
        canvas_x, canvas_y = np.rint(batch.affine[position].numpy() @ (3, 5, 1)).astype(int)
        rows, columns = image.shape[patch.plane.axes[1]], image.shape[patch.plane.axes[2]]
        if 0 <= x < columns and 0 <= y < rows:
            assert batch.images[position, 0, canvas_y, canvas_x] == patch.plane.view(image)[patch.index][y, x]
            assert batch.labels[position, canvas_y, canvas_x] == patch.plane.view(labels)[patch.index][y, x]
        else:
            assert batch.labels[position, canvas_y, canvas_x] == IGNORE


def test_patch_area_and_aspect_are_in_their_ranges(config):
    batches = patch_batches(config, unresampled_share=0.0, patch_area=(0.5, 0.6), patch_aspect=(0.75, 1.3))
    for iteration in range(20):
        linear = batches.choose(iteration, 0).to_slice[:, :2]
        width, height = np.linalg.norm(linear, axis=0) * 16
        assert 0.5 <= width * height / 256 <= 0.6
        assert 0.75 <= width / height <= 1.3
        assert abs(linear[:, 0] @ linear[:, 1]) < 1e-9


def test_patches_may_cover_a_share_of_the_whole_slice(config):
    batches = patch_batches(config, patch_scale="slice", unresampled_share=0.0)
    for iteration in range(10):
        patch = batches.choose(iteration, 0)
        rows, columns = patch.plane.slice_shape(patch.sample.shape_zyx, 0)
        assert 0.85 <= abs(np.linalg.det(patch.to_slice[:, :2])) * 256 / (rows * columns) <= 1.0


def test_only_slices_with_labels_are_learned_from(config):
    _, labels = labelled_scan(0)
    labels[:] = 255
    labels[7] = np.where(labelled_scan(0)[1][7] == 3, 3, 1)
    overwrite_labels(only_sample(config), labels, grid())
    (settings,) = config.data.samples
    config = replace(config, data=replace(config.data, samples=(replace(settings, ignore_value=255),)))
    batches = patch_batches(config)
    chosen = [batches.choose(iteration, 0) for iteration in range(50)]
    assert {patch.index for patch in chosen if patch.plane.name == "rc"} == {7}


def test_oblique_planes_are_refused_for_training():
    with pytest.raises(InputError, match="a set of axis planes of 1, 3, rc, cp, pr, got '9'"):
        axis_planes("9")


def test_a_sample_is_handed_to_workers_without_its_memory_maps(config):
    (cached,) = cache_samples([only_sample(config)], config.data, Events())
    cached.arrays(0)
    assert len(pickle.dumps(cached)) < 4000
    assert np.array_equal(pickle.loads(pickle.dumps(cached)).arrays(0)[1], cached.arrays(0)[1])


def test_workers_read_the_same_batches(config):
    batches = patch_batches(config)
    (read_ahead,) = batches.batches(2, 3, workers=1, pin=False)
    assert read_ahead.seeds.tolist() == batches[2].seeds.tolist()
    assert (read_ahead.images == batches[2].images).all()


def test_other_voxels_behind_an_equal_header_make_another_entry(config, tmp_path):
    settings = only_sample(config)
    image, _ = labelled_scan(0)
    sizes = " ".join(map(str, image.shape[::-1]))
    header = f"NRRD0004\ntype: float\ndimension: 3\nsizes: {sizes}\nspacings: 0.02 0.02 0.02\nencoding: raw\n"
    (tmp_path / "scan.nhdr").write_text(f"{header}endian: little\ndata file: scan.raw\n")
    folders = []
    for values in (image, image[::-1]):
        values.astype("<f4").tofile(tmp_path / "scan.raw")
        os.utime(tmp_path / "scan.raw", (1, 1))
        sample = replace(settings, image=tmp_path / "scan.nhdr")
        folders.append(cache._key(sample, config.data, FileDigests.read(tmp_path / "digests.json")))
    assert folders[0] != folders[1]
