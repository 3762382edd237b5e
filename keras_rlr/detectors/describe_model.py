# Arguments of the model to be found in config.json, chosen or not.
_DESCRIBED = (
    "levels",
    "image_size",
    "hidden_dims",
    "windows",
    "num_heads",
    "num_blocks",
    "alpha",
    "noise_scale",
    "attentions",
    "residual",
    "standardize_features",
    "cosine_damping",
    "bit_depth",
    "seed",
)


def describe_model(model):
    """Returns a model's arguments, fit for JSON."""
    described = {"backbone": model.backbone_name}
    for name in _DESCRIBED:
        value = getattr(model, name)
        described[name] = list(value) if isinstance(value, tuple) else value
    return described
