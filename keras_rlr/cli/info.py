import json
import math

import click

from keras_rlr.backend_choice import installed_backends
from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.model_location import load_run
from keras_rlr.cli.options import PLACE, json_option
from keras_rlr.cli.printing import say


@click.command()
@click.option("--model", type=PLACE, help="Folder of a run, or .keras file.")
@json_option
def command(model: str | None, as_json: bool) -> None:
    """Show versions, backends and presets, or what a model is made of."""
    start_backend()
    if model is None:
        facts = _environment()
    else:
        loaded = load_run(model)
        facts = _model(loaded)
        if not as_json:
            # In files it is packed, which nobody can read.
            facts["region_of_interest"] = _in_words(loaded.region_of_interest)
    if as_json:
        say(json.dumps(facts, indent=2))
    else:
        _print(facts)


def _environment():
    from keras_rlr.environment import describe_environment
    from keras_rlr.methods.by_name import METHODS

    facts = describe_environment()
    facts["installed_backends"] = installed_backends()
    facts["methods"] = list(METHODS)
    facts["presets"] = {
        name: {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in arguments.items()
        }
        for method in METHODS.values()
        for name, arguments in method.PRESETS.items()
    }
    return facts


def _model(model):
    from keras_rlr.detectors.describe_model import describe_model

    total = model.count_params()
    # Statistics of the features and the threshold are few, and none of them learned.
    # Layers without weights are not built, and can't count.
    counts = {
        layer.name: sum(math.prod(weight.shape) for weight in layer.weights)
        for layer in model.layers
    }
    parameters = {name: count for name, count in counts.items() if count > 0.01 * total}
    parameters["others"] = total - sum(parameters.values())
    return {
        **describe_model(model),
        "threshold": model.threshold,
        "pixel_threshold": model.pixel_threshold,
        "parameters": {**parameters, "total": total},
    }


def _in_words(region):
    """How much of an image is looked at: a sentence, or a dict of such by category."""
    if isinstance(region, dict):
        others = {None: region.get(None)}
        return {
            "all others" if name is None else name: _in_words(mask) or "all of it"
            for name, mask in (region | others).items()
        }
    return None if region is None else f"{region.mean():.1%} of the image"


def _print(facts, indent=""):
    for name, value in facts.items():
        if isinstance(value, dict):
            say(f"{indent}{name}:")
            _print(value, indent + "  ")
        elif isinstance(value, list):
            say(f"{indent}{name}: {', '.join(map(str, value))}")
        else:
            say(f"{indent}{name}: {'none' if value is None else value}")
