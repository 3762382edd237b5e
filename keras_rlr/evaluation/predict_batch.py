from keras_rlr.inputs.part_of_pass import PartOfPass


def predict_batch(model, images, size, categories=None, value_ranges=None):
    """What `model.predict` says of a few images, given to it in a batch of `size`.

    A backend that compiles for a shape does so once, however many images are left over.

    Args:
        model: An `RLR` model.
        images: List of `size` images or fewer, arrays (height, width, channels).
        size: Images of a batch.
        categories: The product each shows, list of names or None, by whose threshold it
            is decided; None for that of all products.
        value_ranges: The `ValueRanges` of all batches of a pass; None for one of their
            own.

    Returns:
        Dict of arrays, as `model.predict` does, for the images.
    """
    categories = categories or [None] * len(images)
    part = [
        {"image": image, "category": category}
        for image, category in zip(images, categories, strict=True)
    ]
    part += [part[-1]] * (size - len(images))
    if value_ranges is not None:
        part = PartOfPass(part, value_ranges)
    output = model.predict(part, batch_size=size, verbose=0)
    return {name: values[: len(images)] for name, values in output.items()}
