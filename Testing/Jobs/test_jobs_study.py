"""A whole study as README tells it: scans and manifest, a batch, a report that finds what was put in, and no more."""

from __future__ import annotations

import csv
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.jobs.environment_file import save_environment

sys.path += [str(Path(__file__).parents[1] / name) for name in ("Engine", "Benchmarks")]
import simulated_study
from simulated_study import GROUPS, write_study

WORDS = ("--model", "thresholds.mgmodel", "--planes", "1", "--device", "cpu", "--at-once", "2")


explant_of = cache(simulated_study.explant_of)  # both studies have the same first group


def compared(folder: Path, symbol: str, within: str) -> dict[str, float]:
    """The comparison of the two groups on a measure."""
    with open(folder / "comparisons.csv", newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if (row["symbol"], row["within"]) == (symbol, within)]
    (row,) = [row for row in rows if (row["first"], row["second"]) == GROUPS]
    return {name: float(text) for name, text in row.items() if text.replace(".", "").replace("-", "").isdigit()}


@pytest.fixture
def place(tmp_path, monkeypatch, thresholds) -> Path:
    """A folder with a model, where the configuration of environments is too."""
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(simulated_study, "explant_of", explant_of)
    shutil.copy(thresholds, tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.services
def test_twenty_four_explants_on_the_cluster_show_the_difference_that_was_put_in(place, make_environment):
    write_study(Path("study"), difference=1.6, is_clear=True)
    save_environment(make_environment("slurm", root=str(place / "root")))
    cluster = ("--environment", "test slurm", "--scans-per-task", "12")
    assert main(["batch", "study/study.csv", "results", *WORDS, *cluster]) == 0
    assert main(["report", "results", "--out", "report.html"]) == 0
    rate, contact = (compared(place / "report_files", symbol, "all time points") for symbol in ("DR", "BIC"))
    assert (rate["animals_first"], rate["animals_second"]) == (6, 6), "24 implants of 12 animals"
    assert 0 < rate["difference_low"] < rate["difference"] and rate["p_holm"] < 0.05 and rate["hedges_g"] > 1
    assert contact["p_holm"] > 0.05 and contact["difference_low"] < 0 < contact["difference_high"]
    assert "24 implants of 12 animals" in Path("report.html").read_text("utf-8")


@pytest.mark.slow
def test_where_the_groups_are_alike_the_report_finds_nothing(place):
    write_study(Path("study"), difference=1.0, is_clear=True)
    assert main(["batch", "study/study.csv", "results", *WORDS]) == 0
    assert main(["report", "results", "--out", "report.html"]) == 0
    for within in ("56 days", "112 days", "all time points"):
        assert compared(place / "report_files", "DR", within)["p_holm"] > 0.05, within
    found = compared(place / "report_files", "DR", "all time points")
    assert found["difference_low"] < 0 < found["difference_high"] and abs(found["hedges_g"]) < 1
