"""Agreement of segmentations with a reference, class by class and measure by measure."""

from MgImplantSegLib.evaluation.comparison import Comparison, compare, summarise, write_summary_csv
from MgImplantSegLib.evaluation.overlap import ClassScore, Evaluation, evaluate

__all__ = ["ClassScore", "Comparison", "Evaluation", "compare", "evaluate", "summarise", "write_summary_csv"]
