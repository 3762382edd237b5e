from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.anomaly_map import upsample_map

# The usual map has one value for so many pixels, down and across.
_PIXELS = 8
# What lies so many spreads above the mean is still usual.
_SPREADS = 2.0


@keras.saving.register_keras_serializable(package="keras_rlr")
class UsualMap(keras.layers.Layer):
    """Divides a map by what is usual at each place in images that look alike.

    That is by a power of it: 1 is the whole, and 0 leaves the map as it is.

    It keeps maps of normal images and, of each, a description. The neighbours of a new
    image are those with the nearest descriptions. What is usual at a place is the mean
    of their maps there, plus twice their spread there, plus twice the mean of their
    spreads at all places. So an edge that is never quite predicted has to err more than
    a smooth part to be as anomalous.

    Before `store` was called it returns maps as they are. This is no part of the
    paper.

    Args:
        neighbors: Number of images.
        power: The exponent of what is usual, or several.
        capacity: Most images that are kept.
        with_numbers: Whether each image has a number, of a tile's place, and those of
            its number come before all others as its neighbours.

    Call arguments:
        anomaly_map: float32 tensor (batch, height, width), not below 0.
        description: float32 tensor (batch, C).
        numbers: int32 tensor (batch or 1,), if there are such.

    Returns:
        float32 tensor (batch, height, width); of several powers a list of such.

    Raises:
        ValueError: If `neighbors` is not from 1 to `capacity`, or `power` from 0 to 1.
            If maps or descriptions are of another size than those it was built for.

    Example:

    >>> usual = keras_rlr.layers.UsualMap(neighbors=2)
    >>> maps = np.random.uniform(1, 2, (4, 32, 32)).astype("float32")
    >>> descriptions = np.random.normal(size=(4, 8)).astype("float32")
    >>> _ = usual(maps, descriptions)
    >>> usual.store(usual.reduced(maps), descriptions)
    >>> usual(maps, descriptions).shape
    (4, 32, 32)
    """

    def __init__(
        self,
        neighbors: int = 20,
        power: float | Sequence[float] = 1.0,
        capacity: int = 512,
        with_numbers: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if not 1 <= int(neighbors) <= int(capacity):
            raise ValueError(
                "`neighbors` must be at least 1 and at most `capacity`. Received: "
                f"{neighbors!r} and {capacity!r}."
            )
        powers = tuple(power) if isinstance(power, Sequence) else (power,)
        if not (powers and all(0 <= each <= 1 for each in powers)):
            raise ValueError(f"`power` must be from 0 to 1. Received: {power!r}.")
        self.neighbors = int(neighbors)
        self.power = powers if isinstance(power, Sequence) else float(power)
        self.capacity = int(capacity)
        self.with_numbers = bool(with_numbers)

    def build(
        self,
        anomaly_map_shape: Any,
        description_shape: Any,
        numbers_shape: Any = None,
    ) -> None:
        """Makes room for the maps and descriptions."""
        self.input_spec = keras.layers.InputSpec(shape=(None, *anomaly_map_shape[1:]))
        grid = [max(1, side // _PIXELS) for side in anomaly_map_shape[1:]]
        channels = int(description_shape[-1])

        def weight(name, *shape, initializer="zeros"):
            return self.add_weight(
                name=name, shape=shape, initializer=initializer, trainable=False
            )

        self.maps = weight("maps", self.capacity, *grid)
        self.descriptions = weight("descriptions", self.capacity, channels)
        # 1 of rows that hold an image, else 0.
        self.is_stored = weight("is_stored", self.capacity)
        self.center = weight("center", channels)
        self.spread = weight("spread", channels, initializer="ones")
        if self.with_numbers:
            self.numbers = weight("numbers", self.capacity)
        self.built = True

    def store(self, maps: Any, descriptions: Any, numbers: Any = None) -> None:
        """Replaces what is kept.

        Args:
            maps: What `reduced` returned of normal images' maps.
            descriptions: float32 array (images, C).
            numbers: Integers (images,), if there are such.

        Raises:
            ValueError: If there are no images or more than `capacity`, or a value is
                not finite.
        """
        maps, descriptions = (np.asarray(x, "float32") for x in (maps, descriptions))
        if not 1 <= len(maps) == len(descriptions) <= self.capacity:
            raise ValueError(
                f"`store` takes maps and descriptions of 1 to {self.capacity} images. "
                f"Received: {len(maps)} and {len(descriptions)}."
            )
        if not (np.isfinite(maps).all() and np.isfinite(descriptions).all()):
            raise ValueError("Maps or descriptions of normal images are not finite.")
        center, spread = descriptions.mean(0), descriptions.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        missing = self.capacity - len(maps)
        self.center.assign(center)
        self.spread.assign(spread)
        kept = [
            (self.maps, maps),
            (self.descriptions, (descriptions - center) / spread),
            (self.is_stored, np.ones(len(maps))),
        ]
        if self.with_numbers:
            kept.append((self.numbers, np.asarray(numbers)))
        for weight, rows in kept:
            padding = ((0, missing), *[(0, 0)] * (rows.ndim - 1))
            weight.assign(np.pad(rows, padding).astype("float32"))

    def reduced(self, maps: np.ndarray) -> np.ndarray:
        """Returns maps as they are kept: the means of squares of pixels, smoothed.

        Args:
            maps: float32 array (images, height, width).
        """
        from scipy.ndimage import gaussian_filter

        for axis, side in zip((1, 2), self.maps.shape[1:], strict=True):
            starts = np.arange(side) * maps.shape[axis] // side
            counts = np.diff([*starts, maps.shape[axis]])
            shape = [1, 1, 1]
            shape[axis] = side
            maps = np.add.reduceat(maps, starts, axis) / counts.reshape(shape)
        return gaussian_filter(maps.astype("float32"), (0, 1, 1))

    @property
    def is_in_use(self) -> bool:
        """Whether anything is stored."""
        return bool(ops.convert_to_numpy(self.is_stored).any())

    def forget(self) -> None:
        """Returns to maps as they are."""
        self.is_stored.assign(np.zeros(self.capacity, "float32"))

    def call(self, anomaly_map: Any, description: Any, numbers: Any = None) -> Any:
        """Returns the map in units of what is usual; or such maps, one a power."""
        if description.shape[-1] != self.center.shape[0]:
            # One channel would be broadcast to all.
            raise ValueError(
                f"The images that are kept have descriptions of {self.center.shape[0]} "
                f"channels. Received: {description.shape[-1]}."
            )
        anomaly_map = ops.cast(anomaly_map, "float32")
        description = ops.cast(description, "float32")
        usual = self._usual(description, numbers)
        usual = upsample_map(usual, anomaly_map.shape[1:], align_corners=False)
        if isinstance(self.power, tuple):
            return [anomaly_map / ops.power(usual, power) for power in self.power]
        return anomaly_map / ops.power(usual, self.power)

    def _usual(self, description, numbers):
        description = (description - self.center) / self.spread
        # The square of the new one's length is the same for all of them.
        distances = ops.sum(ops.square(self.descriptions), axis=-1) - 2.0 * ops.matmul(
            description, ops.transpose(self.descriptions)
        )
        if self.with_numbers:
            # float32, as the other weights: whole numbers are exact in it.
            numbers = ops.cast(numbers, "float32")[:, None]
            # Far beyond all distances, so those of another place come in where there
            # are too few of its own, the nearest first.
            distances = ops.where(self.numbers == numbers, distances, distances + 1e6)
        # An empty row is a neighbour only where there are too few others.
        distances = ops.where(self.is_stored > 0, distances, 1e30)
        nearest = ops.top_k(-distances, self.neighbors)[1]
        maps = ops.take(self.maps, nearest, axis=0)
        counts = ops.take(self.is_stored, nearest, axis=0)
        total = ops.maximum(ops.sum(counts, axis=-1), 1.0)[:, None, None]
        counts = counts[:, :, None, None]
        mean = ops.sum(maps * counts, axis=1) / total
        squares = ops.square(maps - ops.expand_dims(mean, 1))
        spread = ops.sqrt(ops.sum(squares * counts, axis=1) / total)
        of_all_places = ops.mean(spread, axis=(1, 2), keepdims=True)
        usual = mean + _SPREADS * (spread + of_all_places)
        # Nothing is stored, or there was no error at all.
        return ops.where(usual > 0, usual, 1.0)

    def compute_output_shape(
        self,
        anomaly_map_shape: Any,
        description_shape: Any,
        numbers_shape: Any = None,
    ) -> Any:
        """Returns the shape of the map, or of the maps."""
        shape = tuple(anomaly_map_shape)
        return [shape] * len(self.power) if isinstance(self.power, tuple) else shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "neighbors": self.neighbors,
            "power": self.power,
            "capacity": self.capacity,
            "with_numbers": self.with_numbers,
        }
