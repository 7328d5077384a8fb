"""`surfaces`: meshes of masks and of implants as files."""

import json

import numpy as np
import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.labels import DEFAULT_SCHEME
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.scene.mask_surfaces import read_mesh
from MgImplantSegLib.scene.meshes import enclosed_volume_mm3


@pytest.fixture
def blocks(tmp_path):
    """A block of metal with bone at one end, as a segmentation and as a mask of the metal; voxels of 10 µm."""
    labels = np.zeros((14, 16, 18), np.uint8)
    labels[3:11, 4:12, 4:12] = 3
    labels[3:11, 4:12, 12:16] = 1
    geometry = Geometry(labels.shape, (0.01,) * 3)
    write_label_map(LabelMap(labels, geometry, DEFAULT_SCHEME), tmp_path / "explant.nrrd")
    write_volume(Volume((labels == 3).astype(np.uint8), geometry), tmp_path / "metal.mha")
    return tmp_path


def test_a_mask_gives_a_mesh_around_its_voxels(blocks):
    words = ["surfaces", blocks / "metal.mha", "--out", blocks / "out", "--smoothing", "0", "--json", blocks / "r.json"]
    assert main([str(word) for word in words]) == 0
    (entry,) = json.loads((blocks / "r.json").read_text())["surfaces"]
    mesh = read_mesh(entry["file"])
    assert entry["triangles"] == mesh.GetNumberOfPolys() > 100
    assert enclosed_volume_mm3(mesh) == pytest.approx(8**3 * 1e-6, rel=0.1)


def test_an_implant_gives_a_mesh_with_its_contact(blocks):
    words = ["surfaces", blocks / "explant.nrrd", "--out", blocks / "out", "--kind", "contact"]
    assert main([str(word) for word in words]) == 0
    contact = read_mesh(blocks / "out" / "explant.vtp").GetCellData().GetArray("Contact")
    touched = sum(contact.GetValue(cell) == 1 for cell in range(contact.GetNumberOfValues()))
    assert touched == 2 * 8 * 8 and contact.GetNumberOfValues() == 2 * 6 * 8 * 8  # two triangles a voxel face


def test_the_depth_needs_the_screw_before(blocks, capsys):
    words = ["surfaces", blocks / "explant.nrrd", "--out", blocks / "out", "--kind", "depth"]
    assert main([str(word) for word in words]) == 2
    assert "--initial" in capsys.readouterr().err
    assert main([str(word) for word in [*words, "--initial", blocks / "explant.nrrd"]]) == 0
    depth = read_mesh(blocks / "out" / "explant.vtp").GetPointData().GetArray("Degradation depth")
    assert max(abs(value) for value in depth.GetRange()) < 1e-6
