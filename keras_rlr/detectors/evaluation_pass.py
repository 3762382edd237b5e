"""What `AnomalyDetector.evaluate` does with the parts of a test set."""

import warnings

import keras
import numpy as np

from keras_rlr.detectors.running_figures import RunningFigures


def evaluate_source(model, source, exact=None, verbose=0, callbacks=None):
    """Returns the loss and the figures of a test set, a dict.

    Args:
        model: The detector.
        source: An `ImageSource` or `FirstBatches`.
        exact: See `RunningFigures`.
        verbose: Whether to show a progress bar.
        callbacks: Keras callbacks; they see every batch as it is done.

    Raises:
        ValueError: If there are no images, or labels that can't be read.
    """
    figures = RunningFigures(exact)
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks, model=model, steps=source.num_batches(), verbose=0
        )
    seen = step = 0
    callbacks.on_test_begin()
    for batches, outputs in model.infer_parts(
        source, purpose="evaluate", verbose=verbose, with_weight=True
    ):
        figures.update(outputs, batches.truth)
        ends = np.cumsum(batches.counts)
        for losses in np.split(outputs["loss"], ends[:-1]):
            callbacks.on_test_batch_begin(step)
            callbacks.on_test_batch_end(step, {"loss": float(losses.mean())})
            step += 1
        seen += len(outputs["loss"])
    _warn_of_missing(seen, figures.labelled, figures.masked)
    results = figures.result()
    callbacks.on_test_end(results)
    return results


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
