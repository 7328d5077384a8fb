"""`summarise`: from the tables of compare to means and standard errors, on the command line."""

from __future__ import annotations

import csv
import json

import pytest
from test_evaluation_comparison import compared

from MgImplantSegLib.cli import main


def test_tables_of_samples_become_means_a_table_and_a_figure(tmp_path, capsys):
    for name in ("one", "two", "three"):
        compared("").write_csv(tmp_path / f"{name}.csv")
    tables = [str(tmp_path / f"{name}.csv") for name in ("one", "two", "three")]
    outputs = [str(tmp_path / name) for name in ("summary.json", "summary.csv", "summary.png")]
    code = main(["summarise", *tables, "--json", outputs[0], "--csv", outputs[1], "--figure", outputs[2]])
    assert code == 0
    summary = json.loads((tmp_path / "summary.json").read_text())["summary"]
    rows = {(row["segmentation"], row["symbol"]): row for row in summary}
    assert rows["network", "V_r"]["samples"] == 3
    assert rows["network", "V_r"]["mean_deviation_percent"] == pytest.approx(-100 / 6)
    assert rows["network", "V_r"]["standard_error"] == pytest.approx(0, abs=1e-12)
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(summary)
    assert (tmp_path / "summary.png").stat().st_size > 1000
    assert main(["summarise", *tables]) == 0
    assert "-16.7 %" in capsys.readouterr().out


def test_another_table_is_one_line_and_code_2(tmp_path, capsys):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert main(["summarise", str(tmp_path / "other.csv")]) == 2
    error = capsys.readouterr().err
    assert "compare" in error and "Traceback" not in error
