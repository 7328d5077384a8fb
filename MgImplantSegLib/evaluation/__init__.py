"""Agreement of segmentations with a reference, class by class and measure by measure."""

from MgImplantSegLib.evaluation.overlap import ClassScore, Evaluation, evaluate

__all__ = ["ClassScore", "Evaluation", "evaluate"]
