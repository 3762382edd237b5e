"""The report of an evaluation: one page with tables, curves and pictures."""

from keras_rlr.evaluation.report.write_report import write_report

__all__ = ["write_report"]
