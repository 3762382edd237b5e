"""The model of a run, made from its settings or from its checkpoint."""

from typing import Any

from keras_rlr.methods.rlr.presets import preset_for
from keras_rlr.methods.rlr.rlr import RLR
from keras_rlr.training.run_folder import RunFolder

# Settings of the run that are no arguments of the model.
_OF_THE_RUN = {
    "categories",
    "preset",
    "epochs",
    "batch_size",
    "learning_rate",
    "calibration_fraction",
}


def new_model(settings: dict[str, Any]) -> RLR:
    """Returns the model of the settings: a preset's, with the user's own on top."""
    arguments = {
        name: value for name, value in settings.items() if name not in _OF_THE_RUN
    }
    if arguments.get("backbone_weights") == "none":
        arguments["backbone_weights"] = None
    preset = preset_for(settings.get("preset"), settings.get("backbone"))
    model = RLR.from_preset(preset, **arguments)
    if "learning_rate" in settings:
        model.optimizer.learning_rate = settings["learning_rate"]
    return model


def resumed_model(run: RunFolder, settings: dict[str, Any]) -> RLR:
    """Returns the model of a run's checkpoint, or a new one if it has none yet."""
    if not run.checkpoint.is_file():
        return new_model(settings)
    return RLR.from_preset(run.checkpoint, distribution=settings.get("distribution"))
