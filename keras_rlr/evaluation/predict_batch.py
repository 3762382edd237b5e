def predict_batch(model, images, size):
    """What `model.predict` says of a few images, given to it in a batch of `size`.

    A backend that compiles for a shape does so once, however many images are left over.

    Args:
        model: An `RLR` model.
        images: List of `size` images or fewer, arrays (height, width, channels).
        size: Images of a batch.

    Returns:
        Dict of arrays, as `model.predict` does, for the images.
    """
    padding = [images[-1]] * (size - len(images))
    output = model.predict([*images, *padding], batch_size=size, verbose=0)
    return {name: values[: len(images)] for name, values in output.items()}
