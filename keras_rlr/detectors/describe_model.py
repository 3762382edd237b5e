from typing import Any

# What Keras says of every model, and what is no setting but drawn or learned.
_LEFT_OUT = (
    *("name", "dtype", "trainable", "backbone", "compact"),
    *("trained_categories", "channels"),
)


def describe_model(model):
    """Returns a model's arguments, chosen or not, fit for JSON."""
    described: dict[str, Any] = {"method": type(model).__name__}
    if hasattr(model, "backbone_name"):
        described["backbone"] = model.backbone_name
    for name, value in model.get_config().items():
        if name not in _LEFT_OUT:
            described[name] = _listed(value)
    return described


def _listed(value):
    """The value with lists for tuples, as JSON gives it back."""
    return list(map(_listed, value)) if isinstance(value, tuple) else value
