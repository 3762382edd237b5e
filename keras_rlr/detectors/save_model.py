import json
import zipfile

from keras_rlr.atomic_file import atomic_path

# Beside what Keras writes and reads; it leaves other files of the archive alone.
_NOTES = "training.json"


def save_checkpoint(model, path, notes=None):
    """Saves a model with all that training needs to go on, whole or not at all.

    Args:
        model: The detector.
        path: Where to, ending in `.keras`.
        notes: What is kept with it, a dict that JSON holds, or None.
    """
    with atomic_path(path) as temporary:
        model.save(temporary)
        if notes is not None:
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_NOTES, json.dumps(notes))


def read_notes(path):
    """Returns the notes that `save_checkpoint` kept with a model, or None.

    Args:
        path: Of a `.keras` file that can be opened.
    """
    with zipfile.ZipFile(path) as archive:
        if _NOTES not in archive.namelist():
            return None
        return json.loads(archive.read(_NOTES))


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
