"""What each of the paper's tables compares, and what it printed."""

import csv
from importlib import resources
from typing import Any

# Means on MVTec AD of one model for all categories, image and pixel AUROC in per cent,
# that others measured and published after the paper.
MEASURED_BY_OTHERS = {
    1: {
        "PatchCore": (98.8, 98.3),
        "SimpleNet": (95.3, 96.9),
        "UniAD": (97.6, 97.0),
    }
}
_RESIDUAL = {"residual": True}
# By a table's number, for each row that is trained the arguments of `RLR` that it
# differs by.
TRAINED_ROWS: dict[int, dict[str, dict[str, Any]]] = {
    # Methods on MVTec AD, and on VisA.
    1: {"RLR": {}},
    2: {"RLR": {}},
    # Attentions.
    3: {
        "self-attention, residual": {"attentions": ("self",), **_RESIDUAL},
        "cross-attention, residual": {"attentions": ("cross",), **_RESIDUAL},
        "cross-attention": {"attentions": ("cross",)},
        "MLKA": {"attentions": ("mlka",)},
        "LCA": {"attentions": ("lca",)},
        "cross-attention + MLKA": {"attentions": ("cross", "mlka")},
        "MLKA + LCA": {"attentions": ("mlka", "lca")},
    },
    # Levels.
    4: {
        "levels 1, 2": {"levels": (1, 2)},
        "levels 2, 3": {"levels": (2, 3)},
        "levels 1, 2, 3": {"levels": (1, 2, 3)},
    },
    # The factor of the attentions that read the reference.
    5: {f"alpha {alpha}": {"alpha": float(alpha)} for alpha in (1, 2, 3)},
}


def printed_rows(number):
    """The rows of a table as they were printed.

    Args:
        number: Of the table.

    Returns:
        Dict by method of dicts by category (and "mean") of pairs of image and pixel
        AUROC in per cent.

    Example:

    >>> from keras_rlr.evaluation.paper_tables import printed_rows
    >>> printed_rows(3)["MLKA + LCA"]["mean"]
    (98.6, 98.5)
    """
    rows: dict[str, dict[str, tuple[float, ...]]] = {}
    file = resources.files("keras_rlr.evaluation") / "reference_results.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(lines):
        if row["table"] == str(number):
            pair = tuple(
                float(row[f"{kind}_auroc_percent"]) for kind in ("image", "pixel")
            )
            rows.setdefault(row["method"], {})[row["category"]] = pair
    return rows
