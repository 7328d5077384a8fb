"""Voxels go to the engine and come back unchanged, in small steps."""

import sys

import numpy as np
import pytest
from module_cases import ball_in_half_bone, geometry

from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.grids.labels import LabelScheme, parse_roles
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io import read_label_map, read_volume, write_label_map


@pytest.fixture
def parts(module):
    from MgImplantSegSections.engine import engineRun, exchange

    return engineRun, exchange


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_the_engine_reads_what_the_panel_writes(parts, tmp_path, dtype):
    engineRun, exchange = parts
    array = (np.arange(3 * 4 * 5).reshape(3, 4, 5) * 3).astype(dtype)
    grid = geometry(array.shape, 0.0051)
    engineRun.runToEnd(exchange.writeImage(array, grid, tmp_path / "v.mha", engineRun.CancelToken()))
    volume = read_volume(tmp_path / "v.mha")
    assert volume.array.dtype == dtype and np.array_equal(volume.array, array)
    assert volume.geometry.same_grid(grid) and volume.geometry.origin_lps_mm == pytest.approx(grid.origin_lps_mm)


def test_label_maps_keep_the_meaning_of_their_values_both_ways(parts, tmp_path):
    engineRun, exchange = parts
    labels, token = ball_in_half_bone(), engineRun.CancelToken()
    numbered = LabelScheme.from_roles({4: "bone", 5: "bone", 9: "residual_material"}, ignore_value=7)
    array = np.array([0, 4, 5, 7, 9, 0], np.int16).reshape(1, 2, 3)
    theirs = LabelMap(array, geometry(array.shape), numbered)
    engineRun.runToEnd(exchange.writeLabels(theirs, tmp_path / "l.mha", token))
    read = read_label_map(tmp_path / "l.mha", parse_roles(exchange.ROLES_WORD))
    assert read.array.ravel().tolist() == [0, 1, 1, 255, 3, 0] and read.scheme.ignore_value == 255
    assert [read.scheme.by_value(value).role for value in (1, 3)] == ["bone", "residual_material"]
    write_label_map(labels, tmp_path / "r.mha")
    back, values = engineRun.runToEnd(exchange.readLabels(tmp_path / "r.mha", labels.geometry, token))
    assert values == {0, 1, 2, 3}
    assert np.array_equal(back.array, labels.array) and back.scheme == labels.scheme


def test_a_truncated_result_is_refused(parts, tmp_path):
    engineRun, exchange = parts
    labels = ball_in_half_bone()
    token = engineRun.CancelToken()
    write_label_map(labels, tmp_path / "m.mha")
    (tmp_path / "m.mha").write_bytes((tmp_path / "m.mha").read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated"):
        engineRun.runToEnd(exchange.readLabels(tmp_path / "m.mha", labels.geometry, token))


def test_large_volumes_go_slab_by_slab_and_stop_when_asked(parts, tmp_path):
    engineRun, exchange = parts
    array = np.broadcast_to(np.uint8(1), (100, 1000, 1000))
    token, steps = engineRun.CancelToken(), []
    with pytest.raises(Cancelled):
        for event in exchange.writeImage(array, geometry(array.shape), tmp_path / "v.mha", token):
            steps.append(event["done"])
            token.requested = len(steps) == 2
    assert steps == [1, 2] and event["total"] == 4
    assert (tmp_path / "v.mha").stat().st_size < 70e6


def test_what_is_no_event_goes_into_the_log_and_a_crash_is_told_with_it(parts, tmp_path):
    engineRun, _exchange = parts
    event = '{"event": "progress", "stage": "x", "done": 1, "total": 2}'
    program = f"import sys; print('hello'); print('{event}'); sys.exit('boom')"
    python = engineRun.EnginePython((sys.executable, "-c", program), {}, tmp_path)
    events = []
    with pytest.raises(engineRun.EngineError, match="exit code 1") as caught:
        engineRun.runToEnd(
            engineRun.runEngine(python, [], tmp_path / "log.txt", engineRun.CancelToken()), events.append
        )
    assert [event["stage"] for event in events] == ["x"]
    assert "hello" in caught.value.log and "boom" in caught.value.log


def test_a_program_that_is_not_there_is_named(parts, tmp_path):
    engineRun, _exchange = parts
    python = engineRun.EnginePython((tmp_path / "nothing",), {}, tmp_path)
    with pytest.raises(engineRun.EngineError, match="nothing"):
        engineRun.runToEnd(engineRun.runEngine(python, [], tmp_path / "log.txt", engineRun.CancelToken()))
