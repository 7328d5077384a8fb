"""Results of batches, written by hand as a batch leaves them, for tests of reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

UNITS = {"DR": "mm/year", "BIC": "%", "BV/TV": "%", "V_r": "mm³"}


def write_study(folder: Path, samples: Sequence[Mapping], command: str = "mgimplantseg batch study.csv out") -> Path:
    """A batch's folder with these samples.

    Each has ``name``, ``values`` by symbol (None: undefined) and ``study``; ``state``, ``problem`` and ``warnings`` as
    needed.
    """
    folder.mkdir(parents=True)
    rows = []
    for sample in samples:
        name, state = sample["name"], sample.get("state", "done")
        rows.append(
            {
                "sample": name,
                "image": f"/scans/{name}.nrrd",
                "state": state,
                "problem": sample.get("problem", ""),
                "warnings": list(sample.get("warnings", ())),
                "study": dict(sample.get("study", {})),
            }
        )
        if state == "done":
            write_sample(folder / name, sample["values"], sample.get("profile"), **sample.get("inputs", {}))
    (folder / "batch.json").write_text(json.dumps({"version": 1, "command": command, "samples": rows}), "utf-8")
    return folder


def write_sample(folder: Path, values: Mapping[str, float | None], profile: Sequence[float] | None, **inputs) -> None:
    """The folder of one sample with its measures, and a profile of BV/TV over shells of 0.05 mm."""
    folder.mkdir(parents=True)
    measures = [measure(symbol, value) for symbol, value in values.items()]
    series = [] if profile is None else [shells(profile)]
    segmentation = {"model": "mine", "model_hash": "0123abcd", "planes": "3", "fusion": "soft", "spacing_um": 5.0}
    known = {"software_version": "0.1.0", "segmentation": segmentation, "spacing_zyx_um": [5.0] * 3, **inputs}
    data = {"measures": measures, "series": series, "inputs": known}
    (folder / "measures.json").write_text(json.dumps(data), "utf-8")


def measure(symbol: str, value: float | None) -> dict:
    return {
        "symbol": symbol,
        "name": f"name of {symbol}",
        "region": "implant",
        "value": value,
        "unit": UNITS[symbol],
        "low": None,
        "high": None,
        "method": "faces",
        "definition": "a / b",
        "note": "" if value is not None else "No metal was found.",
        "counts": {},
    }


def shells(values: Sequence[float]) -> dict:
    low = [round(0.05 * index, 10) for index in range(len(values))]
    return {
        "symbol": "BV/TV",
        "name": "bone volume fraction",
        "region": "shells",
        "x_name": "distance from the implant",
        "x_unit": "mm",
        "x_low": low,
        "x_high": [round(edge + 0.05, 10) for edge in low],
        "values": list(values),
        "unit": "%",
        "method": "voxels",
        "note": "",
    }


def place(animal: str, group: str, days: float) -> dict[str, str]:
    """What a sample is in its study."""
    return {"animal": animal, "group": group, "time_point_days": f"{days:g}"}
