import keras
import numpy as np

from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.images import check_pixels, to_array, to_image, to_resized_rgb
from keras_rlr.inputs.large_image import LargeImage
from keras_rlr.inputs.read_ahead import read_ahead
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.value_ranges import ValueRanges
from keras_rlr.keras_private import DataAdapter

# As float32, 200 MB.
_MOST_PIXELS_KEPT = 2**24


class HostBatches(DataAdapter):
    """Batches made on the host by NumPy, for the trainer of any backend.

    Subclasses say in `generate` what one pass yields. An error in it reaches the
    user as it was raised: TensorFlow would wrap it in a traceback of its own, so it
    is kept in `error` for the caller to raise.

    Args:
        source: An `ImageSource`.
        image_size: Side of the images of the batches, or (height, width).
        bit_depth: Bits that a value of uint16 images has; None is 16.
        value_ranges: The `ValueRanges` of a longer pass that these are part of, which
            whoever made it finishes; None for one of each pass.
    """

    def __init__(self, source, image_size, bit_depth=None, value_ranges=None):
        if hasattr(source, "in_size_of"):
            source = source.in_size_of(image_size, bit_depth)
        self.source = source
        self.image_size = image_size
        self.bit_depth = bit_depth
        self.value_ranges = value_ranges
        self.error = None
        self._told = False

    def generate(self):
        """Yields batches, tuples `(x,)` of NumPy arrays."""
        raise TypeError(f"{type(self).__name__} must define `generate`.")

    def signature(self):
        """Shapes and dtypes of `x`, a structure of `(shape, dtype)`."""
        raise TypeError(f"{type(self).__name__} must define `signature`.")

    def begin_pass(self):
        """Returns the `ValueRanges` that look at the images of a pass."""
        return self.value_ranges or ValueRanges(self.bit_depth)

    def end_pass(self, value_ranges):
        """Says once, of the first pass that is complete, what is to be said."""
        if value_ranges is not self.value_ranges and not self._told:
            self._told = True
            value_ranges.finish()

    def _guarded(self):
        try:
            yield from self.generate()
        except Exception as error:
            self.error = error
            raise

    def get_numpy_iterator(self):
        """Iterator for eager use."""
        return self._guarded()

    def get_jax_iterator(self):
        """Iterator for JAX's trainer."""
        return self._guarded()

    def get_tf_dataset(self):
        """tf.data.Dataset for TensorFlow's trainer."""
        import tensorflow as tf

        def spec(entry):
            shape, dtype = entry
            return tf.TensorSpec(shape, dtype)

        signature = self.signature()
        if isinstance(signature, dict):
            specs = {key: spec(entry) for key, entry in signature.items()}
        else:
            specs = spec(signature)
        dataset = tf.data.Dataset.from_generator(
            self._guarded, output_signature=(specs,)
        )
        # Without this, a strategy would split the data set by element.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.OFF
        )
        # There is nothing to tune, and at the end of an epoch the tuner may be asleep:
        # TensorFlow then waits for it, as long again as half the epoch took.
        options.autotune.enabled = False
        return dataset.with_options(options).prefetch(1)

    def get_torch_dataloader(self):
        """DataLoader for PyTorch's trainer."""
        import torch

        outer = self

        # The loader would leave tensors on the CPU. Keras' makes int32 of uint16.
        def on_device(value):
            if not isinstance(value, np.ndarray | np.generic):
                return value
            return keras.ops.convert_to_tensor(torch.as_tensor(value))

        class Stream(torch.utils.data.IterableDataset):
            def __iter__(self):
                for batch in outer._guarded():
                    yield keras.tree.map_structure(on_device, batch)

        return torch.utils.data.DataLoader(Stream(), batch_size=None)

    @property
    def num_batches(self):
        """Number of batches of one pass, or None."""
        return self.source.num_batches()

    @property
    def batch_size(self):
        """Images a batch."""
        return self.source.batch_size

    @property
    def has_partial_batch(self):
        """Unknown to most sources, so never claimed."""
        return False

    @property
    def partial_batch_size(self):
        """Unknown."""
        return None

    def on_epoch_begin(self):
        """Nothing to prepare."""

    def on_epoch_end(self):
        """Nothing to close."""


def stack_images(elements, image_size, positions, value_ranges):
    """The images of a batch, (batch, height, width, 3), float32.

    Args:
        elements: See `resized_images`, as are all that follow.
        image_size: See `elements`.
        positions: See `elements`.
        value_ranges: See `elements`.

    Raises:
        ValueError: If an image is malformed, or the ranks differ.
    """
    resized = resized_images(elements, image_size, positions, value_ranges)
    images = np.empty((len(elements), *height_and_width(image_size), 3), "float32")
    for i, image in enumerate(resized):
        images[i] = image.pixels
    return images


def resized_images(elements, image_size, positions, value_ranges):
    """The images of a batch, a list of `ResizedImage`s.

    Args:
        elements: Dicts with "image", an array or a `ResizedImage`.
        image_size: Side of the result, or (height, width).
        positions: Of the elements in the data set, for messages; ascending.
        value_ranges: The `ValueRanges` of the pass.

    Raises:
        ValueError: If an image is malformed, or the ranks differ.
    """
    ranks = {np.ndim(element["image"]) for element in elements}
    if len(ranks) > 1 or not ranks <= {2, 3}:
        raise ValueError(
            "The images of a data set must have one rank: all (height, width) or all "
            f"(height, width, channels). Received ranks {sorted(ranks)}."
        )
    bit_depth = value_ranges.bit_depth

    def resize(element_and_position):
        element, position = element_and_position
        return resized_image(element, position, image_size, bit_depth)

    pairs = zip(elements, positions, strict=True)
    size = height_and_width(image_size)
    # Those that are not resized are done before a thread is started.
    small = all(np.shape(element["image"])[:2] == size for element in elements)
    resized = list(map(resize, pairs) if small else read_ahead(resize, pairs))
    value_ranges.take_in(image.value_ranges for image in resized)
    return resized


def resized_image(element, position, image_size, bit_depth=None):
    """What of an image is needed once it is resized.

    Args:
        element: Dict with "image", and perhaps "path" for messages.
        position: Of the element in the data set, for messages.
        image_size: Side of the result, or (height, width).
        bit_depth: Bits that a value of uint16 images has; None is 16.

    Returns:
        A `ResizedImage`.

    Raises:
        ValueError: If the image is malformed.
    """
    image = element["image"]
    if isinstance(image, ResizedImage):
        return image
    image, name = to_image(image), _name(element, position)
    value_ranges = ValueRanges(bit_depth)
    value_ranges.check([image], [name])
    shape = image.shape
    image = image[..., None] if image.ndim == 2 else image
    height, width = height_and_width(image_size)
    if height * width > _MOST_PIXELS_KEPT:
        check_pixels(image, name)
        return LargeImage(image, (height, width), bit_depth, shape, value_ranges)
    pixels = to_resized_rgb(image, image_size, name, bit_depth)
    return ResizedImage(pixels, shape, value_ranges)


def _name(element, position):
    path = element.get("path")
    if path is None:
        return f"image {position}"
    path = path if isinstance(path, str | bytes) else to_array(path).item()
    return f"image {position} ({path.decode() if isinstance(path, bytes) else path})"


def no_images(purpose):
    """The error for a data set without images."""
    return ValueError(
        f"The data set has no images, so there is nothing to {purpose}. Check its path "
        "or filter; an iterator that was used up must be made anew."
    )
