from keras_rlr.atomic_file import atomic_path


def save_checkpoint(model, path):
    """Saves a model with all that training needs to go on, whole or not at all."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def save_without_optimizer(model, path):
    """Saves a model for use, a third of a checkpoint's size, whole or not at all.

    Args:
        model: An `RLR` model; it keeps its optimizer.
        path: Where to, ending in `.keras`.
    """
    optimizer = model.optimizer
    # An unbuilt optimizer has no moments to save, and `RLR.get_compile_config` then
    # leaves it to the recipe, so that the loaded model misses none.
    model.optimizer = type(optimizer).from_config(optimizer.get_config())
    try:
        with atomic_path(path) as temporary:
            model.save(temporary)
    finally:
        model.optimizer = optimizer
