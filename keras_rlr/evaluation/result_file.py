"""Results of evaluations as files."""

import json
import math

from keras_rlr.backbones import level_text
from keras_rlr.tables.table_text import table_text


def result_as_json(result):
    """The text of a result, as valid JSON: undefined figures are null.

    Args:
        result: Nested dict, of `evaluate_model` or `describe_evaluation`.

    Returns:
        The text of one object, without a line break at its end.
    """
    return json.dumps(_finite(result), indent=2, allow_nan=False)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def evaluation_as_csv(evaluation):
    """The text of a table: a row a category, then mean and pooled.

    Every row says what it was measured with, so that tables can be joined. Undefined
    figures are empty. "not_trained_on" counts the categories of a row that the model
    was not trained on.

    Args:
        evaluation: A result of `describe_evaluation`.
    """
    protocol, environment = evaluation["protocol"], evaluation["environment"]
    model = evaluation["model"]
    used = {
        "epoch": json.dumps(protocol["epoch"]),
        "selected_on_test_set": str(protocol["selected_on_test_set"]).lower(),
        "map_size": protocol["map_size"],
        "method": model["method"],
        # DRAEM has neither.
        "backbone": model.get("backbone", ""),
        "levels": " ".join(map(level_text, model.get("levels", ()))),
        "recipe": (evaluation["training"] or {}).get("recipe", ""),
        "seed": model["seed"],
        "backend": environment["backend"],
        "keras_rlr": environment["packages"]["keras-rlr"],
        "data_fingerprint": evaluation["data"]["fingerprint"],
    }
    unseen = evaluation.get("unseen_categories", ())
    table = [("category", *evaluation["mean"], *used, "not_trained_on")]
    # Not a dict of all rows: a category may be called "mean".
    rows = [
        (name, figures, int(name in unseen))
        for name, figures in evaluation["categories"].items()
    ]
    rows += [(name, evaluation[name], len(unseen)) for name in ("mean", "pooled")]
    for name, figures, not_trained_on in rows:
        values = (figures[figure] for figure in evaluation["mean"])
        cells = ("" if math.isnan(value) else repr(value) for value in values)
        table.append((name, *cells, *used.values(), not_trained_on))
    return table_text(table)
