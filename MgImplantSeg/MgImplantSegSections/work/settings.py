"""What belongs to this computer, not to the scene: kept in QSettings under ``MgImplantSeg/``."""

from __future__ import annotations

import json
from typing import Any

import qt

PREFIX = "MgImplantSeg/"
DEVICE, MEMORY, RUN_IN, MODEL, MODEL_FOLDER = "Device", "MemoryGb", "RunIn", "Model", "ModelFolder"
SPEEDS, PAIRS, BATCHES = "Speeds", "TrainingPairs", "Batches"
LAST_TRAINING, TRAININGS, TRAINING_ENVIRONMENT = "LastTraining", "Trainings", "TrainingEnvironment"


def read(name: str, default: str = ""):
    """The text kept under a name."""
    value = qt.QSettings().value(PREFIX + name)
    return default if value in (None, "") else str(value)


def write(name: str, value: object):
    """Keep a text under a name."""
    qt.QSettings().setValue(PREFIX + name, str(value))


def readNumber(name: str):
    """The number kept under a name; 0 if there is none or it is damaged."""
    try:
        return float(read(name, "0"))
    except ValueError:
        return 0.0


def readTable(name: str):
    """The table (dictionary) kept under a name; empty if there is none or it is damaged."""
    try:
        table = json.loads(read(name, "{}"))
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}


def writeTable(name: str, table: dict[str, Any]):
    """Keep a table of plain data under a name."""
    write(name, json.dumps(table))
