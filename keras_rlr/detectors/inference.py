"""Maps and scores of a data set part by part, in a memory that does not grow."""

import keras

from keras_rlr.inputs.host_batches import no_images
from keras_rlr.inputs.image_source import in_chunks
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.value_ranges import ValueRanges

_BATCHES_A_PART = 4


def infer_parts(model, infer, source, purpose, verbose=0, **options):
    """Yields (batches, outputs) of parts of a data set.

    Args:
        model: The detector.
        infer: A function of `PredictionBatches` that runs the model on them and
            returns a dict of arrays.
        source: An `ImageSource` or `FirstBatches`.
        purpose: What it is for, for messages: "evaluate".
        verbose: Whether to show a progress bar.
        **options: Arguments of `PredictionBatches`.

    Raises:
        ValueError: If there are no images.
    """
    value_ranges = ValueRanges(model.bit_depth)
    bar = keras.utils.Progbar(source.num_batches(), verbose=int(bool(verbose)))
    seen = done = size = 0
    source = source.in_size_of(model.map_size, model.bit_depth)
    for part in in_chunks(source, _BATCHES_A_PART):
        batches = PredictionBatches(
            part,
            model.map_size,
            **model.places,
            first_index=seen,
            padded_to=size,
            bit_depth=model.bit_depth,
            value_ranges=value_ranges,
            purpose=purpose,
            **options,
        )
        outputs = infer(batches, verbose=0)
        size = size or len(batches.is_real) // part.num_batches()
        seen += int(batches.is_real.sum())
        done += part.num_batches()
        yield batches, outputs
        bar.update(done)
    if not seen:
        raise no_images(purpose)
    value_ranges.finish()
    bar.update(done, finalize=True)
