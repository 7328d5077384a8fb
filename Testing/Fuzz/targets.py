"""Every reader of the engine with a valid input to damage: what is written, how it may be damaged, how it is read."""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

GEOMETRY = Geometry((6, 7, 8), (0.02, 0.021, 0.022), (1.0, -2.0, 3.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
RANDOM = np.random.default_rng(7)
GREY = RANDOM.integers(0, 60000, GEOMETRY.shape_zyx).astype(np.uint16)
CONFIGURATIONS = Path(__file__).resolve().parents[2] / "Resources" / "Configurations"
ENVIRONMENTS = """[environments.gpu]
kind = "ssh"
host = "user@gpu-server"
python = "/opt/python"
[environments.cluster]
kind = "slurm"
host = "login"
python = "python3"
gpus = 2
time_minutes = 120
"""
JOB = {
    "job.json": {
        "version": 1,
        "id": "scan-1",
        "name": "scan",
        "scheduler": "process",
        "shown": "segment a.nrrd out.nrrd",
        "arguments": ["segment", "a.nrrd", "out.nrrd"],
        "created": 1.7e9,
        "engine": "/nowhere",
        "digests": ["0" * 64],
        "submission": "a",
        "environment": "this",
        "python": "python3",
        "processes": 1,
        "nodes": 1,
        "grace_s": 1,
    },
    "exit.json": {"state": "done", "reason": "", "remedy": "", "is_provisional": False, "ended": 1.7e9},
    "runner.json": {"process": "99999999 1 boot", "machine": "elsewhere", "last_sign": 1.7e9},
    "slurm.json": {"job": "123"},
}


@dataclass(frozen=True)
class Target:
    """One reader.

    Parameters
    ----------
    name : str
        For people and for the command line.
    write : callable
        ``write(folder)`` writes a valid input and returns its path, a file or a folder.
    read : callable
        ``read(path)`` reads it with the engine.
    kind : str
        A key of `mutations.OF_KIND` or `mutations.WRAPPED`.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    kind: str = "binary"


def labels() -> np.ndarray:
    """Bone, layer and metal in boxes, away from the borders."""
    array = np.zeros(GEOMETRY.shape_zyx, np.uint8)
    array[1:3, 1:5, 1:3] = 1
    array[2:5, 2:5, 3:7] = 2
    array[3, 3, 4:6] = 3
    return array


def _grey(name: str, dtype: str = "uint16") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from MgImplantSegLib.io import write_volume

        write_volume(Volume(GREY.astype(dtype), GEOMETRY), folder / name)
        return folder / name

    return write


def _label_map(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from MgImplantSegLib.io import write_label_map

        write_label_map(LabelMap(labels(), GEOMETRY), folder / name)
        return folder / name

    return write


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text, "utf-8")
        return folder / name

    return write


def _configuration(name: str) -> Callable[[Path], Path]:
    return _text("training.toml", (CONFIGURATIONS / f"{name}.toml").read_text("utf-8"))


def _with_raw_file(header: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        GREY.tofile(folder / "voxels.raw")
        return _text(header, text)(folder)

    return write


def _tiff(name: str, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import tifffile

        tifffile.imwrite(folder / name, GREY, **{"photometric": "minisblack", **options})
        return folder / name

    return write


def _itk(name: str, compressor: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import SimpleITK as sitk

        sitk.WriteImage(sitk.GetImageFromArray(GREY), str(folder / name), useCompression=True, compressor=compressor)
        return folder / name

    return write


def _slices(suffix: str) -> Callable[[Path], Path]:
    """A folder whose first slice is the file that is damaged."""

    def write(folder: Path) -> Path:
        import SimpleITK as sitk

        for n, page in enumerate(GREY.astype(np.uint8)[:3]):
            sitk.WriteImage(sitk.GetImageFromArray(page), str(folder / f"rec{n:04}{suffix}"))
        (folder / "rec.log").write_text("[Reconstruction]\nPixel Size (um)=20.0\n")
        return folder / f"rec0000{suffix}"

    return write


def _skyscan_log(folder: Path) -> Path:
    _slices(".png")(folder)
    return folder / "rec.log"


def _reco_log(folder: Path) -> Path:
    _slices(".png")(folder)
    return _text("reco.log", "scan : x\neff_pixel_size : 2.4 micron\nenergy : 3e4\n")(folder)


def _hdf5(**options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import h5py

        with h5py.File(folder / "scan.h5", "w") as file:
            dataset = file.create_dataset("entry/data/data", data=GREY, **options)
            dataset.attrs["element_size_um"] = (20.0, 21.0, 22.0)
            file["entry/link"] = h5py.SoftLink("/entry/data")
        return folder / "scan.h5"

    return write


def _virtual_hdf5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "source.h5", "w") as file:
        file["v"] = GREY
    with h5py.File(folder / "scan.h5", "w") as file:
        layout = h5py.VirtualLayout(GREY.shape, GREY.dtype)
        layout[:3] = h5py.VirtualSource("source.h5", "v", GREY.shape)[:3]
        layout[3:] = h5py.VirtualSource("source.h5", "v", GREY.shape)[3:]
        file.create_virtual_dataset("entry/data/data", layout)
        file["entry/other"] = h5py.ExternalLink("source.h5", "v")
    return folder / "scan.h5"


def _mesh(name: str, writer: str, module: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import importlib

        from vtkmodules.vtkFiltersSources import vtkSphereSource

        sphere = vtkSphereSource()
        sphere.SetThetaResolution(5)
        sphere.SetPhiResolution(5)
        out = getattr(importlib.import_module(f"vtkmodules.{module}"), writer)()
        out.SetInputConnection(sphere.GetOutputPort())
        out.SetFileName(str(folder / name))
        out.Write()
        return folder / name

    return write


def _roi(folder: Path) -> Path:
    from MgImplantSegLib.grids.regions import OrientedBox, write_roi_markups

    write_roi_markups([OrientedBox((1.0, 2.0, 3.0), size_mm=(4.0, 5.0, 6.0), name="box")], folder / "roi.mrk.json")
    return folder / "roi.mrk.json"


def _model(folder: Path) -> Path:
    from threshold_model import save_threshold_model

    return save_threshold_model(folder / "model.mgmodel", 20.0)


def _manifest(folder: Path) -> Path:
    _grey("scan.nrrd")(folder)
    text = "image,name,spacing_um,days,initial_volume_mm3\nscan.nrrd,first,20,30,1.5\nscan.nrrd,second,20.5,60,1.5\n"
    return _text("manifest.csv", text)(folder)


def _transform(folder: Path) -> Path:
    from MgImplantSegLib.quantification.screw.rigid_transform import write_rigid_transform

    write_rigid_transform(np.eye(4), folder / "move.tfm")
    return folder / "move.tfm"


def _comparison(folder: Path) -> Path:
    from MgImplantSegLib.evaluation.comparison import COLUMNS

    with open(folder / "compared.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerow(["1"] * len(COLUMNS))
    return folder / "compared.csv"


def _job(name: str) -> Callable[[Path], Path]:
    """A job that has ended, or whose end is not known when another part of its record is damaged."""

    def write(folder: Path) -> Path:
        job = folder / "jobs" / "scan-1"
        for part in (job, job / "results", job / "inputs"):
            part.mkdir(parents=True, exist_ok=True)
        for file, content in JOB.items():
            if file == name or file == "job.json":
                (job / file).write_text(json.dumps(content), "utf-8")
        (job / "events.jsonl").write_text('{"version": 1, "time": 1.0, "event": "progress", "done": 1, "total": 2}\n')
        (job / "log.txt").write_text("a line\n")
        folder.chmod(0o700)
        return job / name

    return write


def _read_volume(path: Path) -> Any:
    from MgImplantSegLib.io import read_volume

    return read_volume(path)


def _read_slices(path: Path) -> Any:
    from MgImplantSegLib.io import read_volume

    return read_volume(path.parent)


def _read_labels(path: Path) -> Any:
    from MgImplantSegLib.io import read_label_map

    return read_label_map(path)


def _read_mesh(path: Path) -> Any:
    from MgImplantSegLib.quantification.surfaces.triangle_mesh import read_mesh

    return read_mesh(path)


def _read_roi(path: Path) -> Any:
    from MgImplantSegLib.grids.regions import read_roi_markups

    return read_roi_markups(path)


def _read_model(path: Path) -> Any:
    from MgImplantSegLib.model.file import load_model

    return load_model(path)


def _read_training(path: Path) -> Any:
    from MgImplantSegLib.training.settings.configuration import TrainingConfig

    return TrainingConfig.read(path)


def _read_environments(path: Path) -> Any:
    from MgImplantSegLib.jobs.environment_file import known_environments

    with _environment_variable("MGIMPLANTSEG_CONFIG", str(path.parent)):
        found, faults = known_environments()
    if faults:
        raise faults[0]
    return found


def _read_manifest(path: Path) -> Any:
    from MgImplantSegLib.cli.batch_samples import samples_of

    return [sample.arguments(argparse.Namespace()) for sample in samples_of(path)]


def _read_transform(path: Path) -> Any:
    from MgImplantSegLib.quantification.screw.rigid_transform import read_rigid_transform

    return read_rigid_transform(path)


def _read_comparison(path: Path) -> Any:
    from MgImplantSegLib.evaluation.samples import read_comparisons

    return read_comparisons([path])


def _read_jobs(path: Path) -> Any:
    from MgImplantSegLib.jobs.agent.agent import Agent
    from MgImplantSegLib.jobs.agent.settings import AgentSettings

    return Agent(AgentSettings(str(path.parents[2]), "python3", "process")).list()


@contextmanager
def _environment_variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


NHDR = (
    "NRRD0004\ntype: ushort\ndimension: 3\nspace: left-posterior-superior\nsizes: 8 7 6\n"
    "space directions: (0.022,0,0) (0,0.021,0) (0,0,0.02)\nspace origin: (1,2,3)\nendian: little\nencoding: raw\n"
    "data file: voxels.raw\n\n"
)
MHD = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 0.022 0.021 0.02\nDimSize = 8 7 6\n"
    "ElementType = MET_USHORT\nElementDataFile = voxels.raw\n"
)
ALL = (
    Target("nrrd", _grey("scan.nrrd"), _read_volume, "mixed"),
    Target("nrrd labels", _label_map("labels.nrrd"), _read_labels, "mixed"),
    Target("nhdr", _with_raw_file("scan.nhdr", NHDR), _read_volume, "text"),
    Target("seg.nrrd", _label_map("labels.seg.nrrd"), _read_labels, "mixed"),
    Target("nii", _grey("scan.nii", "float32"), _read_volume),
    Target("nii.gz", _label_map("labels.nii.gz"), _read_labels, "gzip"),
    Target("mha", _grey("scan.mha"), _read_volume, "mixed"),
    Target("mha labels", _label_map("labels.mha"), _read_labels, "mixed"),
    Target("mhd", _with_raw_file("scan.mhd", MHD), _read_volume, "text"),
    Target("tiff", _grey("scan.tif"), _read_volume),
    Target("tiff labels", _label_map("labels.tif"), _read_labels),
    Target("tiff big", _tiff("scan.tif", bigtiff=True, byteorder=">"), _read_volume),
    Target("tiff tiles", _tiff("scan.tif", tile=(16, 16), compression="zlib", predictor=2), _read_volume),
    Target("tiff ome", _tiff("scan.ome.tif", metadata={"axes": "ZYX", "PhysicalSizeX": 0.02}), _read_volume, "mixed"),
    Target("tiff lzw", _itk("scan.tif", "LZW"), _read_volume),
    Target("tiff packbits", _itk("scan.tif", "PackBits"), _read_volume),
    Target("slices tiff", _slices(".tif"), _read_slices),
    Target("slices bmp", _slices(".bmp"), _read_slices),
    Target("slices png", _slices(".png"), _read_slices),
    Target("skyscan log", _skyscan_log, _read_slices, "text"),
    Target("reco.log", _reco_log, _read_slices, "text"),
    Target("hdf5", _hdf5(), _read_volume),
    Target("hdf5 chunks", _hdf5(chunks=(2, 7, 8), compression="gzip", shuffle=True), _read_volume),
    Target("hdf5 virtual", _virtual_hdf5, _read_volume),
    Target("stl", _mesh("screw.stl", "vtkSTLWriter", "vtkIOGeometry"), _read_mesh, "mixed"),
    Target("ply", _mesh("screw.ply", "vtkPLYWriter", "vtkIOPLY"), _read_mesh, "mixed"),
    Target("obj", _mesh("screw.obj", "vtkOBJWriter", "vtkIOGeometry"), _read_mesh, "text"),
    Target("vtk", _mesh("screw.vtk", "vtkPolyDataWriter", "vtkIOLegacy"), _read_mesh, "mixed"),
    Target("vtp", _mesh("screw.vtp", "vtkXMLPolyDataWriter", "vtkIOXML"), _read_mesh, "mixed"),
    Target("roi", _roi, _read_roi, "json"),
    Target("transform", _transform, _read_transform, "text"),
    *(Target(f"training {name}", _configuration(name), _read_training, "text") for name in ("fine-tuning", "paper")),
    Target("environments", _text("environments.toml", ENVIRONMENTS), _read_environments, "text"),
    Target("manifest", _manifest, _read_manifest, "text"),
    Target("comparison", _comparison, _read_comparison, "text"),
    Target("model", _model, _read_model, "zip"),
    *(Target(f"job {name}", _job(name), _read_jobs, "json") for name in (*JOB, "events.jsonl")),
)
