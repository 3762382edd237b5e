"""The loop of `RLR.evaluate` over the parts of a test set."""

import warnings

import keras

from keras_rlr.detectors.running_figures import RunningFigures
from keras_rlr.inputs.host_batches import no_images
from keras_rlr.inputs.image_source import in_chunks
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.value_ranges import ValueRanges

_BATCHES_A_CHUNK = 4


def evaluate_source(model, source, infer, exact=None, verbose=0):
    """Returns the loss and the figures of a test set, a dict.

    Args:
        model: The detector.
        source: An `ImageSource` or `FirstBatches`.
        infer: A function of `PredictionBatches` that runs the model on them.
        exact: See `RunningFigures`.
        verbose: Whether to show a progress bar.

    Raises:
        ValueError: If there are no images, or labels that can't be read.
    """
    figures = RunningFigures(exact)
    value_ranges = ValueRanges(model.bit_depth)
    bar = keras.utils.Progbar(source.num_batches(), verbose=int(bool(verbose)))
    seen = done = size = labelled = masked = 0
    for chunk in in_chunks(source, _BATCHES_A_CHUNK):
        batches = PredictionBatches(
            chunk,
            model.image_size,
            devices=model.device_count,
            with_weight=True,
            first_index=seen,
            padded_to=size,
            bit_depth=model.bit_depth,
            value_ranges=value_ranges,
        )
        outputs = infer(batches)
        figures.update(outputs, batches.labels, batches.masks)
        size = size or len(batches.is_real) // chunk.num_batches()
        seen += int(batches.is_real.sum())
        labelled += batches.labelled
        masked += batches.masked
        done += chunk.num_batches()
        bar.update(done)
    if not seen:
        raise no_images("evaluate")
    value_ranges.finish()
    bar.update(done, finalize=True)
    _warn_of_missing(seen, labelled, masked)
    return figures.result()


def _warn_of_missing(seen, labelled, masked):
    if labelled == seen or not (labelled or masked):
        return
    what = (
        f"{seen - labelled} of the {seen} images have no label"
        if labelled
        else f"The {seen} images have masks but no labels"
    )
    warnings.warn(
        f"{what}, so there is the loss alone: figures need the label of every image, 0 "
        "normal or 1 anomalous.",
        stacklevel=4,
    )
