import itertools
import warnings

import keras
import numpy as np

from keras_rlr.export.manifest import describe_tiling
from keras_rlr.export.sample_images import one_tile_each, sample_images
from keras_rlr.export.target import Target
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.images import to_rgb
from keras_rlr.inputs.value_ranges import ValueRanges

QUANTIZATIONS = ("float16", "dynamic", "int8")
_MOST_COMPARED = 4
_MOST_REPRESENTATIVE = 64


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
        images: Images like those the model will see, any kind of data that `fit`
            takes: 4, and double exposures of them, are compared on and, for "int8",
            the range of activations is taken from 64, evenly chosen where there are
            more. By default drawn ones are compared.
        categories: Names of the categories it was trained on, for the manifest.
        evaluation: Figures of the model, fit for JSON, for the manifest.

    Returns:
        The manifest, a dict, as it is written beside the export.

    Raises:
        ValueError: If an argument is not possible, the model was never trained, or
            the export does not agree with the model.
        FileExistsError: If there is something at `path`.
        NotADirectoryError: If `path` goes through a file.
        ImportError: If a package that the format needs is not installed.

    Example:

    ```python
    manifest = model.export("serving/rlr/1")
    manifest["comparison"]["serving_default"]["map_difference"]
    ```
    """
    format = {"tf_saved_model": "saved_model"}.get(format, format)
    target = Target(path, format)
    check_arguments(model, format, quantize, images)
    most = _MOST_REPRESENTATIVE if quantize == "int8" else _MOST_COMPARED
    if images is not None:
        images = _usable_images(images, model, most)
    whole, (model, departures) = model, model.exportable(format)
    cut_by = None if model.tiling else whole.tiling
    if images is None:
        images = list(sample_images(4, model.map_size))
    elif cut_by:
        images = one_tile_each(images, cut_by)
    for sentence in departures:
        warnings.warn(sentence, stacklevel=3)
    if model.threshold is None:
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
        "departures": departures,
        "tiling": cut_by and describe_tiling(cut_by),
    }
    with target.staging() as folder:
        request["name"] = target.name
        if keras.backend.backend() == "tensorflow":
            from keras_rlr.export.write_export import write_export

            return write_export(model, folder, images=images, **request)
        from keras_rlr.export.in_tensorflow import write_in_tensorflow

        return write_in_tensorflow(model, folder, images, request)


def check_arguments(model, format, quantize, images):
    """Refuses what can't be exported, before any work."""
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


def _usable_images(images, model, most):
    """uint8 arrays (height, width, 3), evenly chosen of those given."""
    source = ImageSource(images, 1)
    if source.is_indexed:
        count = source.num_batches()
        batches = source.pick(np.linspace(0, count - 1, min(count, most)).astype(int))
    else:
        batches = itertools.islice(source.batches(), most)
    usable: list[np.ndarray] = []
    value_ranges = ValueRanges(model.bit_depth)
    for element in itertools.chain.from_iterable(batches):
        image, name = element["image"], f"image {len(usable)}"
        value_ranges.check([image], [name])
        image = image[..., None] if image.ndim == 2 else image
        rgb = to_rgb(image, name, model.bit_depth)
        usable.append(np.clip(np.rint(rgb), 0, 255).astype("uint8"))
    if not usable:
        raise ValueError("There are no images to compare on. Give one at least.")
    value_ranges.finish()
    return usable
