"""Whether an input has changed, and which files are behind it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from MgImplantSegLib.base import file_digests
from MgImplantSegLib.base.file_digests import FileDigests, file_state, states_digest
from MgImplantSegLib.io.companions import COMPANIONS, companions, files_behind

CHANGED_LONG_AGO_NS = 3_000_000_000


@pytest.fixture
def patient(monkeypatch):
    """Files count as long unchanged at once, so that digests are remembered."""
    monkeypatch.setattr(file_digests, "COARSEST_TIME_NS", -CHANGED_LONG_AGO_NS)


@pytest.fixture
def counted(monkeypatch):
    """The files whose content is read."""
    read, digest = [], file_digests._digest
    monkeypatch.setattr(
        file_digests, "_digest", lambda path, advance: read.append(Path(path).name) or digest(path, advance)
    )
    return read


def with_time_set_back(path: Path, content: bytes) -> None:
    """Other content of equal size, and the time of change that the file had before."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_size == before.st_size


@pytest.mark.skipif(os.name == "nt", reason="there is no time of the inode")
def test_a_file_of_equal_size_whose_time_is_set_back_has_changed(tmp_path, patient):
    path = tmp_path / "scan.raw"
    path.write_bytes(b"aaaa")
    digests = FileDigests()
    before, state = digests.of(path), states_digest([path])
    with_time_set_back(path, b"bbbb")
    assert digests.of(path) != before and states_digest([path]) != state


def test_a_file_that_was_touched_or_copied_has_not_changed(tmp_path):
    for name in ("a.raw", "copy/a.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"same")
    os.utime(tmp_path / "a.raw", (1, 1))
    digests = FileDigests()
    assert digests.of_all([tmp_path / "a.raw"]) == digests.of_all([tmp_path / "copy/a.raw"])


def test_a_file_is_read_once_and_again_only_when_it_may_have_changed(tmp_path, patient, counted):
    path = tmp_path / "scan.raw"
    path.write_bytes(b"aaaa")
    digests = FileDigests()
    first = digests.of(path)
    digests.write(tmp_path / "digests.json")
    again = FileDigests.read(tmp_path / "digests.json")
    assert again.of(path) == first and counted == ["scan.raw"]
    path.write_bytes(b"longer")
    assert again.of(path) != first and counted == ["scan.raw"] * 2


def test_what_was_changed_just_now_is_read_again(tmp_path, counted):
    (tmp_path / "scan.raw").write_bytes(b"aaaa")
    digests = FileDigests()
    digests.of(tmp_path / "scan.raw")
    digests.of(tmp_path / "scan.raw")
    assert counted == ["scan.raw"] * 2 and digests.known == {}


@pytest.mark.parametrize("text", ["{ damaged", "[]", '{"a": 3}', '{"a": [1, 2, 3, 4, 5]}', "[" * 100_000])
def test_damaged_notes_are_as_good_as_none(tmp_path, text):
    (tmp_path / "digests.json").write_text(text)
    assert FileDigests.read(tmp_path / "digests.json").known == {}


def test_the_bytes_that_are_done_are_told(tmp_path, patient):
    (tmp_path / "scan.raw").write_bytes(bytes(10))
    digests, seen = FileDigests(), []
    digests.of(tmp_path / "scan.raw", seen.append)
    digests.of(tmp_path / "scan.raw", seen.append)
    assert seen == [10, 10]


def names_behind(path: Path, folder: Path) -> set[str]:
    return {Path(os.path.relpath(file, folder)).as_posix() for file in files_behind(path)}


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


NRRD, META = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 1 1 2\nencoding: raw\n", "NDims = 3\nDimSize = 1 1 2\n"
HEADERS = {
    "a.nhdr, detached": ("a.nhdr", NRRD + "data file: data/v.raw\n", {"data/v.raw"}),
    "a.nhdr, old spelling": ("a.nhdr", NRRD + "Datafile: v.raw\r\n", {"v.raw"}),
    "a.nhdr, list": ("a.nhdr", NRRD + "data file: LIST\ns1.raw\ns2.raw\n", {"s1.raw", "s2.raw"}),
    "a.nhdr, list of a dimension": ("a.nhdr", NRRD + "data file: LIST 2\ns1.raw\n", {"s1.raw"}),
    "a.nhdr, pattern": ("a.nhdr", NRRD + "data file: s%d.raw 1 2 1\n", {"s001.raw", "s1.raw", "s2.raw"}),
    "a.nrrd, detached": ("a.nrrd", NRRD + "data file: v.raw\n\n", {"v.raw"}),
    "a.nrrd, attached": ("a.nrrd", NRRD + "\ndata file: v.raw\n", set()),
    "a.mhd, detached": ("a.mhd", META + "ElementDataFile = v.raw\n", {"v.raw"}),
    "a.mhd, list": ("a.mhd", META + "ElementDataFile = LIST\ns1.raw\ns2.raw\n", {"s1.raw", "s2.raw"}),
    "a.mhd, pattern": ("a.mhd", META + "ElementDataFile = s%03d.raw 1 2 1\n", {"s001.raw", "s1.raw", "s2.raw"}),
    "a.mha, attached": ("a.mha", META + "ElementDataFile = LOCAL\n\x00\xff", set()),
    "a.hdr": ("a.hdr", "x", {"a.img"}),
    "a.img": ("a.img", "x", {"a.hdr"}),
    "a.obj": ("a.obj", "mtllib a b.mtl\nv 0 0 0\n", {"a b.mtl"}),
    "a.tif": ("a.tif", "II*", {"reco.log", "a.log"}),
    "a.ome.tif": ("a.ome.tif", '<OME><TiffData><UUID FileName="v.raw"/></TiffData></OME>', {"v.raw", "reco.log"}),
    "a.stl": ("a.stl", "solid", set()),
}
BESIDE = ("v.raw", "data/v.raw", "s1.raw", "s2.raw", "s001.raw", "a.img", "a.hdr", "a b.mtl", "reco.log", "a.log")


@pytest.mark.parametrize("case", HEADERS)
def test_what_a_header_names_is_behind_it(case, tmp_path):
    name, content, expected = HEADERS[case]
    files(tmp_path, *BESIDE)
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    assert names_behind(tmp_path / name, tmp_path) == {name, *expected}


@pytest.mark.parametrize("suffix", COMPANIONS)
@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, b"data file: \x00\nElementDataFile = \x00", b"ElementDataFile = " + b"n" * 5000]
)
def test_damaged_files_have_no_companions(suffix, content, tmp_path):
    (tmp_path / f"a{suffix}").write_bytes(content)
    assert companions(tmp_path / f"a{suffix}") == ()
    assert files_behind(tmp_path / "missing.mhd") == ()


def test_slices_and_the_logs_above_them_are_behind_a_folder(tmp_path):
    files(tmp_path, "scan/rec/s_1.tif", "scan/rec/s_2.TIF", "scan/rec/s.log", "scan/rec/notes.txt", "scan/rec/.s_3.tif")
    files(tmp_path, "reco.log", "scan/reco.log", "scan/rec/results/s_9.tif", "other.log")
    assert names_behind(tmp_path / "scan/rec", tmp_path) == {
        "scan/rec/s_1.tif",
        "scan/rec/s_2.TIF",
        "scan/rec/s.log",
        "scan/reco.log",
        "reco.log",
    }


def test_links_virtual_sources_and_external_storage_are_behind_an_hdf5_file(tmp_path):
    import h5py

    data = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    for name in ("far.h5", "source.h5", "frame_0.h5", "frame_1.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["d"] = data
    with h5py.File(tmp_path / "near.h5", "w") as file:
        file["d"] = h5py.ExternalLink("far.h5", "/d")
    with h5py.File(tmp_path / "main.h5", "w") as file:
        group = file.create_group("entry")
        group["linked"] = h5py.ExternalLink("near.h5", "/d")
        group["gone"] = h5py.ExternalLink("gone.h5", "/d")
        group["soft"] = h5py.SoftLink("/nowhere")
        group["circle"] = h5py.SoftLink("/entry")
        group["again"] = group
        layout = h5py.VirtualLayout((2, 2, 2), np.uint8)
        layout[:] = h5py.VirtualSource("source.h5", "d", (2, 2, 2))
        group.create_virtual_dataset("virtual", layout)
        group.create_dataset("stored", (8,), np.uint8, external=[(str(tmp_path / "v.raw"), 0, 8)])
    (tmp_path / "v.raw").write_bytes(bytes(8))
    assert names_behind(tmp_path / "main.h5", tmp_path) == {"main.h5", "near.h5", "far.h5", "source.h5", "v.raw"}


def test_an_hdf5_file_that_is_its_own_source_comes_once(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        layout = h5py.VirtualLayout((2,), np.uint8)
        layout[:] = h5py.VirtualSource(".", "v", (2,))
        file.create_virtual_dataset("v", layout)
        file["link"] = h5py.ExternalLink("a.h5", "/v")
    assert names_behind(tmp_path / "a.h5", tmp_path) == {"a.h5"}


def test_states_differ_by_name_size_time_and_file(tmp_path):
    files(tmp_path, "a", "b")
    assert states_digest([tmp_path / "a"]) != states_digest([tmp_path / "b"])
    assert states_digest([tmp_path / "b", tmp_path / "a"]) == states_digest([tmp_path / "a", tmp_path / "b"])
    assert file_state(tmp_path / "a")[0] == 1
    assert json.dumps(file_state(tmp_path / "a"))


def test_a_job_takes_all_files_behind_an_input_along_and_knows_when_one_has_changed(tmp_path, monkeypatch):
    from MgImplantSegLib.base.events import Events
    from MgImplantSegLib.jobs.bundle import make_bundle, state_of_files

    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    files(tmp_path, "scan/s1.raw", "scan/s2.raw", "far.raw")
    header = f"{META}ElementDataFile = LIST\ns1.raw\ns2.raw\n{tmp_path / 'far.raw'}\n"
    (tmp_path / "scan/a.mhd").write_text(header)
    bundle, state = make_bundle(tmp_path / "scan/a.mhd", Events()), state_of_files(tmp_path / "scan/a.mhd")
    assert [member.name for member in bundle.members] == ["a.mhd", "s1.raw", "s2.raw"] and bundle.main == "a.mhd"
    (tmp_path / "scan/s2.raw").write_bytes(b"y")
    assert make_bundle(tmp_path / "scan/a.mhd", Events()).digest != bundle.digest
    assert state_of_files(tmp_path / "scan/a.mhd") != state
    state = state_of_files(tmp_path / "scan/a.mhd")
    (tmp_path / "far.raw").write_bytes(b"yy")
    assert state_of_files(tmp_path / "scan/a.mhd") != state
