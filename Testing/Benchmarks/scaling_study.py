"""The paper's scaling study at small scale: ``python Testing/Benchmarks/scaling_study.py FOLDER``.

Depth, width and input size are varied on the explants of `workflow_labels_study`; every model is trained for the same
number of iterations. Explants and models that FOLDER holds already are kept. ``--results DIR`` keeps table and figure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workflow_labels_study import TEST, TRAINING, keep_results, write_explant

from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.studies.scaling import TEST_SCHEME, grid_configs

CONFIGURATION = Path(__file__).with_suffix(".toml")


def train_models(configuration: Path, processes: int) -> None:
    """Train the models of the grid, the large ones first, one thread each; then write the table."""
    words = [sys.executable, "-m", "MgImplantSegLib", "scale", str(configuration)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    models = [[*words, "--only", name] for name in reversed(grid_configs(TrainingConfig.read(configuration)))]
    with ThreadPoolExecutor(processes) as pool:
        codes = list(pool.map(lambda one: subprocess.call(one, env=environment), models))
    code = max(codes) or subprocess.call(words)
    if code:
        raise SystemExit(code)


def report(config: TrainingConfig, table: str) -> str:
    """The table as Markdown, with the command that made it."""
    setting = (
        f"the explants of `workflow_labels_study`, {config.training.iterations} iterations of "
        f"{config.training.batch_size} patches a model, seed {config.seed}. Mean IoU over the {TEST} test explants "
        f"with exact labels, {TEST_SCHEME.name}; FLOPs of one forward pass of one patch."
    )
    command = f"python Testing/Benchmarks/{Path(__file__).name} FOLDER"
    return f"# Depth, width and input size\n\n`{command}`: {setting}\n\n{table}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=2, help="models that train at the same time")
    parser.add_argument("--results", type=Path, help="folder for the table and the figure")
    arguments = parser.parse_args()
    for number in range(TRAINING + TEST):
        write_explant(number, arguments.folder)
    configuration = arguments.folder / CONFIGURATION.name
    shutil.copyfile(CONFIGURATION, configuration)
    train_models(configuration, arguments.processes)
    config = TrainingConfig.read(configuration)
    run = config.run_folder
    text = report(config, (run / "figure3.md").read_text("utf-8").split("\n\n", 2)[2])
    sys.stdout.write(text)
    if arguments.results:
        keep_results(arguments.results, "scaling_study", text, run / "figure3")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
