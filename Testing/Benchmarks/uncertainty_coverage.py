"""How often the true measure lies in the range that the disagreement of the planes gives.

    python Testing/Benchmarks/uncertainty_coverage.py [--model M] [--planes 3] [--count 12] [--size 96]

Simulated explants with seeds that no training uses are segmented and measured with ranges; the truth is what the same
measures give on the true label map. Prints per measure in how many explants the truth lies inside, how wide the range
is and how far the value is off, both in % of the truth (medians).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.quantification.field_of_view import field_of_view_of
from MgImplantSegLib.quantification.measures.uncertainty import SYMBOLS
from MgImplantSegLib.simulation import SimulationSettings, simulate_explant

FIRST_UNSEEN_SEED = 980_000


def rows_of(seed: int, size: int, options: SegmentOptions) -> list[tuple[str, float, float, float, float]]:
    """Symbol, truth, value, low and high of each measure with a range."""
    explant = simulate_explant(SimulationSettings(size=size, seed=seed))
    screw, seen = InitialScrew.from_label_map(explant.initial), field_of_view_of(explant.image)
    measuring = QuantifyOptions(screw, explant.truth["time_days"], field_of_view=seen)
    truth = quantify(explant.labels, measuring)
    result = segment_volume(explant.image, options)
    report = quantify(result.label_map, replace(measuring, disagreement=result.disagreement))
    found = [(report.find(symbol), truth.value(symbol)) for symbol in SYMBOLS]
    return [(m.symbol, true, m.value, m.low, m.high) for m, true in found if np.isfinite([m.low, m.high, true]).all()]


def main() -> None:
    """One line per measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="model file or the name of a bundled one")
    parser.add_argument("--planes", default="3", help="plane set")
    parser.add_argument("--count", type=int, default=12, help="explants")
    parser.add_argument("--size", type=int, default=96, help="voxels along each edge")
    arguments = parser.parse_args()
    model = find_model(arguments.model) if arguments.model else find_model()
    options = SegmentOptions(model=model, planes=arguments.planes, want_disagreement=True)
    rows = []
    for seed in range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + arguments.count):
        rows += rows_of(seed, arguments.size, options)
    sys.stdout.write(f"{'measure':8} {'inside':>8} {'width %':>9} {'error %':>9}\n")
    for symbol in SYMBOLS:
        table = np.array([row[1:] for row in rows if row[0] == symbol])
        if not table.size:
            continue
        truth, value, low, high = table.T
        inside = np.count_nonzero((low <= truth) & (truth <= high))
        width, error = 100 * np.median((high - low) / truth), 100 * np.median(np.abs(value - truth) / truth)
        sys.stdout.write(f"{symbol:8} {inside:>4}/{truth.size:<3} {width:9.1f} {error:9.1f}\n")


if __name__ == "__main__":
    main()
