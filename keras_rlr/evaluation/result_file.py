import json
import math


def result_as_json(result):
    """The text of a result of `evaluate_model`: valid JSON, undefined figures null.

    Args:
        result: Nested dict of floats.

    Returns:
        The text of one object, without a line break at its end.
    """
    return json.dumps(_finite(result), indent=2, allow_nan=False)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
