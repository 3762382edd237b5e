"""What RLR takes from the images before it trains: a first reference, and a bank."""

import itertools
import warnings

from keras_rlr.detectors.feature_extractor import extract_by_image
from keras_rlr.inputs.augmentation import AS_IT_IS, variants_of
from keras_rlr.methods.rlr.bank_beside import select_bank
from keras_rlr.methods.rlr.reference_start import is_to_start, start_reference


def look_at_batches(model, batches, steps, goes_on):
    """Starts the reference, if it never did, and selects the bank.

    Args:
        model: The `RLR`.
        batches: `TrainingBatches` that it is going to be trained on.
        steps: Batches of an epoch; None for all of a pass.
        goes_on: Whether a training goes on, and a bank that is there stays as it is.
    """
    keeps_bank = goes_on and model.bank_size is not None
    selects = model.memory_bank is not None and not keeps_bank
    starts = is_to_start(model)
    if not (starts or selects):
        return
    extract = extract_by_image(model)

    def features_as(*variants):
        for variant in variants:
            whole = batches.generate(variant, whole=True)
            for (batch,) in itertools.islice(whole, steps):
                yield from model.features_in(batch, extract)

    if starts:
        start_reference(model, features_as(AS_IT_IS))
    if selects:
        select_bank(model, features_as(*variants_of(model.augmentation)))


def look_at_images(model, x, batch_size, steps):
    """As `look_at_batches`, from at most 512 images, as they are.

    Args:
        model: The `RLR`.
        x: See `RLR.adapt`, as are all that follow.
        batch_size: See `RLR.adapt`.
        steps: See `RLR.adapt`.
    """
    if model.usual_map and model.usual_map.is_in_use:
        # Its maps are of the bank and of the statistics that are replaced.
        model.usual_map.forget()
        warnings.warn(
            "This RLR has forgotten which errors are usual in similar images: its maps "
            "and scores are the errors themselves. Train it again, with fit(train_ds).",
            stacklevel=3,
        )
    for is_wanted, take in (
        (is_to_start(model), start_reference),
        (model.memory_bank is not None, select_bank),
    ):
        if is_wanted:
            source = model.source_to_adapt_to(x, batch_size, steps)
            take(model, map(model.standardize, model.features_to_adapt_to(source)))
