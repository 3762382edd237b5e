"""Data that has no end, as far as it says so itself."""

import itertools

import keras

# Steps of a tf.data pipeline behind which no end can come that was not before.
_KEEP_GOING = ("Filter", "Batch", "Prefetch", "Map", "Shuffle", "Interleave", "Options")


def is_endless(data):
    """Whether a data set is known to have no end.

    Args:
        data: A tf.data.Dataset, a PyDataset or a torch DataLoader.
    """
    if isinstance(data, keras.utils.PyDataset):
        return length_of(data) is None
    if hasattr(data, "element_spec"):
        return _tf_data_is_endless(data)
    sampler = getattr(data, "sampler", None)
    return isinstance(sampler, itertools.count | itertools.cycle)


def refuse_endless(source, purpose, argument):
    """Refuses data without an end.

    Args:
        source: An `ImageSource`.
        purpose: What it is for: "predict".
        argument: The argument that would bound it.

    Raises:
        ValueError: If the data says that it has no end.
    """
    if source.is_endless:
        raise ValueError(
            f"The data has no end, and {purpose} would have none. Give `{argument}=`, "
            "a number of batches, or data that ends: leave `repeat()` out."
        )


def length_of(dataset):
    """Number of batches of a PyDataset, or None if it is endless."""
    try:
        return dataset.num_batches
    except NotImplementedError:
        return None


def _tf_data_is_endless(dataset):
    cardinality = int(dataset.cardinality())
    if cardinality >= -1:
        return cardinality == -1
    # TensorFlow does not know how many a filter lets through, of endless data either.
    inputs = dataset._inputs() if hasattr(dataset, "_inputs") else []
    goes_on = any(step in type(dataset).__name__ for step in _KEEP_GOING)
    return goes_on and len(inputs) == 1 and _tf_data_is_endless(inputs[0])
