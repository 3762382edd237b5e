from keras_rlr.inputs.part_of_pass import PartOfPass


def predict_batch(model, images, size, value_ranges=None):
    """What `model.predict` says of a few images, given to it in a batch of `size`.

    A backend that compiles for a shape does so once, however many images are left over.

    Args:
        model: An `RLR` model.
        images: List of `size` images or fewer, arrays (height, width, channels).
        size: Images of a batch.
        value_ranges: The `ValueRanges` of all batches of a pass; None for one of their
            own.

    Returns:
        Dict of arrays, as `model.predict` does, for the images.
    """
    padding = [images[-1]] * (size - len(images))
    part = [*images, *padding]
    if value_ranges is not None:
        part = PartOfPass(part, value_ranges)
    output = model.predict(part, batch_size=size, verbose=0)
    return {name: values[: len(images)] for name, values in output.items()}
