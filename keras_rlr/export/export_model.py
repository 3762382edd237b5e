import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_rlr.export.sample_images import sample_images
from keras_rlr.inputs.images import to_array, to_rgb

# Of a file its name in a folder; a SavedModel is a folder itself.
FORMATS = {
    "saved_model": None,
    "litert": "model.tflite",
    "onnx": "model.onnx",
    "openvino": "model.xml",
}
QUANTIZATIONS = ("float16", "dynamic", "int8")
_MOST_IMAGES = 128


def export_model(
    model,
    path,
    format="saved_model",
    quantize=None,
    images=None,
    categories=(),
    evaluation=None,
):
    """Writes a model for use without this package: what `RLR.export` does.

    Preprocessing, backbone, reconstruction, map, score and decision are all inside.
    The export is run and compared with the model before anything takes its name; if
    they differ by more than the tolerance, nothing is left behind. On JAX and PyTorch
    a child process does it on TensorFlow.

    Args:
        model: An `RLR` model, trained.
        path: A folder that is not there yet, numbered for TensorFlow Serving
            ("serving/rlr/1"). For the formats that are files, a file with their
            suffix (`.tflite`, `.onnx`, `.xml`), or a folder for `model.tflite` and
            so on.
        format: "saved_model", "litert", "onnx" or "openvino".
        quantize: For "litert": "float16", "dynamic" or "int8"; None for float32.
        images: Images like those the model will see, arrays (height, width, channels)
            of any sizes: to compare on and, for "int8", to take the range of
            activations from, which needs them. By default drawn ones are compared.
        categories: Names of the categories it was trained on, for the manifest.
        evaluation: Figures of the model, fit for JSON, for the manifest.

    Returns:
        The manifest, a dict, as it is written beside the export.

    Raises:
        ValueError: If an argument is not possible, the model was never trained, or
            the export does not agree with the model.
        FileExistsError: If there is something at `path`.
        ImportError: If a package that the format needs is not installed.

    Example:

    ```python
    manifest = model.export("serving/rlr/1")
    manifest["comparison"]["serving_default"]["map_difference"]
    ```
    """
    format = {"tf_saved_model": "saved_model"}.get(format, format)
    path = Path(path)
    check_arguments(model, path, format, quantize, images)
    images = _usable_images(images, model.image_size)
    if model.threshold is None:
        import warnings

        warnings.warn(
            "The model has no threshold, so its export makes no decisions: call "
            "calibrate(normal_images) before to have `is_anomalous`.",
            stacklevel=3,
        )
    request = {
        "format": format,
        "quantize": quantize,
        "categories": list(categories),
        "evaluation": evaluation,
    }
    with _staging(path, format) as folder:
        if keras.backend.backend() == "tensorflow":
            from keras_rlr.export.write_export import write_export

            return write_export(model, folder, images=images, **request)
        from keras_rlr.export.in_tensorflow import write_in_tensorflow

        return write_in_tensorflow(model, folder, images, request)


def check_arguments(model, path, format, quantize, images):
    """Refuses what can't be exported, before any work."""
    if format not in FORMATS:
        raise ValueError(
            f"Unknown format {format!r}. Expected one of {', '.join(FORMATS)}."
        )
    if quantize is not None and (format != "litert" or quantize not in QUANTIZATIONS):
        raise ValueError(
            f"`quantize` is for the format 'litert' and one of "
            f"{', '.join(QUANTIZATIONS)}. Received {quantize!r} for {format!r}."
        )
    if quantize == "int8" and images is None:
        raise ValueError(
            "int8 takes the range of every activation from images: give some like "
            "those the model will see, a hundred are enough."
        )
    if model.needs_adapting:
        raise ValueError(
            "This model standardises its features and was never trained, so there is "
            "nothing to export. Call fit(train_ds) first."
        )
    suffixes = {name and Path(name).suffix for name in FORMATS.values()}
    expected = Path(FORMATS[format] or "").suffix
    if path.suffix in suffixes - {None} and path.suffix != expected:
        raise ValueError(
            f"'{path}' is a name for another format than {format!r}. Expected "
            + (
                f"one that ends in {expected}, or a folder."
                if expected
                else "a folder."
            )
        )
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists():
        raise FileExistsError(
            f"There is something at '{path}' already. Remove it, or export to another "
            "path; for TensorFlow Serving, to the next number."
        )


def _usable_images(images, size):
    """uint8 arrays (height, width, 3), evenly chosen of those given."""
    if images is None:
        return list(sample_images(4, size))
    count = min(len(images), _MOST_IMAGES)
    if not count:
        raise ValueError("There are no images to compare on. Give one at least.")
    chosen = np.linspace(0, len(images) - 1, count).astype(int)
    usable = []
    for index in map(int, chosen):
        element = images[index]
        element = element["image"] if isinstance(element, dict) else element
        rgb = to_rgb(to_array(element), f"image {index}")
        usable.append(np.clip(np.rint(rgb), 0, 255).astype("uint8"))
    return usable


@contextlib.contextmanager
def _staging(path, format):
    """A folder to write to, whose content takes its place when the block ends well."""
    single = Path(FORMATS[format] or "").suffix
    as_file = bool(single) and path.suffix == single
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.stem}.", dir=path.parent))
    try:
        yield folder
        umask = os.umask(0)
        os.umask(umask)
        for file in folder.rglob("*"):
            file.chmod((0o777 if file.is_dir() else 0o666) & ~umask)
            with contextlib.suppress(IsADirectoryError), file.open("rb+") as stream:
                os.fsync(stream.fileno())
        if as_file:
            # The manifest comes last: where it is, everything is.
            for file in sorted(folder.iterdir(), key=lambda f: f.suffix == ".json"):
                name = file.name.replace("model.", f"{path.stem}.")
                if file.name == "manifest.json":
                    name = f"{path.stem}.manifest.json"
                os.replace(file, path.with_name(name))
        else:
            folder.chmod(0o777 & ~umask)
            os.replace(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
