"""What a saved detector says of its optimizer, and what is made of it on loading."""

import warnings

import keras

from keras_rlr.backbones import refuse_outside_config
from keras_rlr.detectors.distribution import distribution_scope

# What of Keras' `compile` has no meaning for a detector.
_OF_OTHER_MODELS = ("loss", "loss_weights", "metrics", "weighted_metrics")


def optimizer_in_scope(optimizer, distribution):
    """Returns an optimizer whose variables live where the model's do.

    Several devices take no optimizer that was made for one. One that has no state yet
    is made anew for them.

    Args:
        optimizer: A Keras optimizer, a name or None.
        distribution: What `resolve_distribution` returned.

    Raises:
        ValueError: If the optimizer has state, and was made outside.
    """
    is_optimizer = isinstance(optimizer, keras.optimizers.Optimizer)
    if distribution is None or not is_optimizer:
        return optimizer
    if optimizer.built:
        raise ValueError(
            "The optimizer was used before it was given to this model, and its state "
            "is not spread over the devices of the model. Give `compile` a new one."
        )
    with distribution_scope(distribution):
        return type(optimizer).from_config(optimizer.get_config())


def refuse_loss_and_metrics(arguments):
    """Refuses what of Keras' `compile` would be ignored, or would break training.

    Args:
        arguments: Dict of what `compile` was given.

    Raises:
        ValueError: Naming each.
    """
    given = [f"`{name}`" for name in _OF_OTHER_MODELS if arguments.get(name)]
    if given:
        raise ValueError(
            f"`compile` takes no {' and no '.join(given)}: a detector is trained by "
            "the loss of its method, on normal images alone. Its figures are those of "
            "`evaluate`, and `fit(validation_data=…)` shows them after every epoch. "
            "Leave them out."
        )


def is_of_recipe(optimizer, recipe):
    """Whether an optimizer is a recipe's, but for a learning rate of another number.

    Args:
        optimizer: The optimizer.
        recipe: The `Recipe`.
    """
    # Under mixed_float16 Keras wraps what it is given.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    used, own = optimizer.get_config(), recipe.optimizer().get_config()
    is_constant = isinstance(used["learning_rate"], float)
    return is_constant and used == {**own, "learning_rate": used["learning_rate"]}


def saved_compile_config(model, config):
    """Returns what is to be saved of `compile`; nothing where the recipe will do.

    Loading builds the optimizer of a configuration, and then misses the moments of one
    that was saved without them.

    Args:
        model: The detector.
        config: What Keras would save.
    """
    saved = config.get("optimizer")
    optimizer = model.optimizer
    wrapped = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if wrapped and _class_name(saved) != "LossScaleOptimizer":
        # Under mixed_float16 Keras wraps what it is given, and will again.
        optimizer = optimizer.inner_optimizer
    own = model.recipe.optimizer().get_config()
    used = dict(optimizer.get_config(), learning_rate=own["learning_rate"])
    if not model.optimizer.built and used == own:
        return {}
    is_keras = type(optimizer).__module__.partition(".")[0] == "keras"
    if isinstance(saved, dict) and is_keras:
        # On PyTorch the class is one that no other backend has.
        public = next(
            base.__name__
            for base in type(optimizer).__mro__
            if getattr(keras.optimizers, base.__name__, None) is base
        )
        saved.update(module="keras.optimizers", class_name=public, registered_name=None)
    # What was resolved for this backend would be slow or impossible on another.
    return {**config, "jit_compile": "auto"}


def compile_as_saved(model, config):
    """Compiles a model as it was when it was saved.

    An optimizer that is not known here is replaced by the recipe's, with a warning: the
    model can still be used.

    Args:
        model: The detector.
        config: What `saved_compile_config` returned.
    """
    refuse_outside_config(config)
    try:
        arguments = keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError) as error:
        name = _class_name(config.get("optimizer"))
        warnings.warn(
            f"The model was saved with an optimizer that can't be made here, {name} "
            f"({str(error).partition('. ')[0]}). It is loaded for use; trained on, it "
            "would begin with the optimizer of its recipe. To go on as before, import "
            "the optimizer's class and register it with "
            "`keras.saving.register_keras_serializable` before loading.",
            stacklevel=2,
        )
        model.compile()
        return
    # Earlier versions took these, and ignored them.
    model.compile(**{k: v for k, v in arguments.items() if k not in _OF_OTHER_MODELS})
    with distribution_scope(model.distribution):
        model.optimizer.build(model.trainable_variables)


def _class_name(optimizer):
    """The name of an optimizer's class in a configuration, or of what it is."""
    return optimizer.get("class_name") if isinstance(optimizer, dict) else optimizer
