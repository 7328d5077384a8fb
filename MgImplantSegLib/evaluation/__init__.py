"""Agreement of segmentations with a reference, class by class and measure by measure."""

from MgImplantSegLib.evaluation.agreement import agreement, bland_altman, intraclass_correlation, write_agreement_csv
from MgImplantSegLib.evaluation.comparison import Comparison, compare, summarise, write_summary_csv
from MgImplantSegLib.evaluation.overlap import ClassScore, Evaluation, evaluate
from MgImplantSegLib.evaluation.samples import read_comparisons

__all__ = [
    "ClassScore",
    "Comparison",
    "Evaluation",
    "agreement",
    "bland_altman",
    "compare",
    "evaluate",
    "intraclass_correlation",
    "read_comparisons",
    "summarise",
    "write_agreement_csv",
    "write_summary_csv",
]
