"""The report of an evaluation: one page with tables, curves and pictures."""

from keras_rlr.evaluation.report.report_html import report_html

__all__ = ["report_html"]
