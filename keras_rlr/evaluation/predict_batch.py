def predict_batch(model, images, size, categories=None):
    """What `model.predict` says of a few images, given to it in a batch of `size`.

    A backend that compiles for a shape does so once, however many images are left over.

    Args:
        model: An `RLR` model.
        images: List of `size` images or fewer, arrays (height, width, channels).
        size: Images of a batch.
        categories: The product each shows, list of names or None, by whose threshold it
            is decided; None for that of all products.

    Returns:
        Dict of arrays, as `model.predict` does, for the images.
    """
    categories = categories or [None] * len(images)
    elements = [
        {"image": image, "category": category}
        for image, category in zip(images, categories, strict=True)
    ]
    padding = [elements[-1]] * (size - len(images))
    output = model.predict([*elements, *padding], batch_size=size, verbose=0)
    return {name: values[: len(images)] for name, values in output.items()}
