import keras
from keras import ops

from keras_rlr.detectors.integer_images import (
    TakesImages,
    in_8_bits,
    refuse_outside_8_bits,
)
from keras_rlr.image_size import checked_image_size, height_and_width
from keras_rlr.inputs.images import check_bits
from keras_rlr.inputs.resize import resize_weights


def resize_weights_in_graph(source, target):
    """`keras_rlr.inputs.resize.resize_weights` for a size known only at run time."""
    # Of JAX's graphs of any size it is a symbol, of which shapes are made, no tensor.
    length = ops.cast(source, "int32") if ops.is_tensor(source) else source
    source = ops.cast(source, "float32")
    scale = source / target
    centre = (ops.arange(target, dtype="float32") + 0.5) * scale
    # A Keras arange needs a static end: positions come from a cumulative sum.
    position = ops.cumsum(ops.ones((length,), "float32")) - 0.5
    distance = ops.abs(ops.expand_dims(position, 0) - ops.expand_dims(centre, 1))
    weights = ops.maximum(0.0, 1.0 - distance / ops.maximum(scale, 1.0))
    return weights / ops.sum(weights, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="keras_rlr")
class Preprocessor(TakesImages):
    """Turns images of any size into what a backbone expects.

    RGB in 0-255, float32; resized, bilinear and antialiased with
    half-pixel centres, the aspect ratio not kept; then (x - mean) / std. Always in
    float32: bfloat16 holds no more than 256 grey levels.

    Args:
        image_size: Side of a square, or (height, width), in pixels.
        mean: Three values, of RGB in 0-255.
        std: Three values.
        bit_depth: Bits that a value of uint16 images has; None is 16.

    Call arguments:
        images: Tensor (batch, height, width, channels) of uint8, uint16 or float in
            0-255 (uint16 in 0-65535, or what `bit_depth` ends at), with 1, 3 or 4
            channels: grey is replicated, alpha dropped. Other integers are taken for
            0-255: Keras' own tensors of uint16 are int32 on PyTorch, so give NumPy's
            arrays or PyTorch's tensors there.

    Returns:
        float32 tensor (batch, height, width, 3), as `image_size` says.

    Raises:
        ValueError: If the rank or the number of channels is another, or values of
            integers that can be read are not in 0-255.

    Example:

    >>> preprocessor = keras_rlr.models.Preprocessor(64, (127.0,) * 3, (128.0,) * 3)
    >>> preprocessor(np.zeros((2, 100, 80, 3), "uint8")).shape
    (2, 64, 64, 3)
    """

    def __init__(self, image_size, mean, std, bit_depth=None, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.image_size = checked_image_size(image_size)
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.bit_depth = check_bits(bit_depth)

    def build(self, input_shape):
        """Has no weights."""
        self.built = True

    def call(self, images):
        """Returns the images as the backbone expects them."""
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[-1] not in (1, 3, 4):
            raise ValueError(
                "Images must be a batch (batch, height, width, channels) with 1, 3 or "
                f"4 channels. Received shape {shape}. Add a batch axis to one image "
                "(image[None]) or a channel axis to grey ones (images[..., None])."
            )
        is_uint16 = keras.backend.standardize_dtype(images.dtype) == "uint16"
        refuse_outside_8_bits(images)
        images = ops.cast(images, "float32")
        if is_uint16:
            images = in_8_bits(images, self.bit_depth)
        images = ops.repeat(images, 3, -1) if shape[-1] == 1 else images[..., :3]
        images = self._resize(images, *shape[1:3])
        if set(self.mean) == {0.0} and set(self.std) == {1.0}:
            return images
        mean = ops.convert_to_tensor(self.mean, dtype="float32")
        std = ops.convert_to_tensor(self.std, dtype="float32")
        return (images - mean) / std

    def _resize(self, images, height, width):
        to_height, to_width = height_and_width(self.image_size)
        if height != to_height:
            if not isinstance(height, int):
                rows = resize_weights_in_graph(ops.shape(images)[1], to_height)
            else:
                rows = ops.convert_to_tensor(resize_weights(height, to_height))
            images = ops.transpose(images, (0, 2, 3, 1))
            images = ops.matmul(images, ops.transpose(rows))
            images = ops.transpose(images, (0, 3, 1, 2))
        if width != to_width:
            if not isinstance(width, int):
                columns = resize_weights_in_graph(ops.shape(images)[2], to_width)
            else:
                columns = ops.convert_to_tensor(resize_weights(width, to_width))
            images = ops.matmul(columns, images)
        return images

    def compute_output_shape(self, input_shape):
        """Returns (batch, height, width, 3)."""
        return (input_shape[0], *height_and_width(self.image_size), 3)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "mean": self.mean,
            "std": self.std,
            "bit_depth": self.bit_depth,
        }
