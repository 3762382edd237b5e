import warnings
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from keras_rlr.checked_numbers import MOST_CHANNELS, finite_number, whole_number
from keras_rlr.detectors.feature_detector import mean_features
from keras_rlr.detectors.one_pass_detector import OnePassDetector
from keras_rlr.layers.anomaly_map import upsample_map
from keras_rlr.layers.anomaly_score import WIDEST, AnomalyScore
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.initializers import derive_seed
from keras_rlr.layers.position_gaussians import PositionGaussians

_REGULARIZATION = 0.01
# Places whose matrices are inverted at a time.
_PLACES_AT_A_TIME = 256


@keras.saving.register_keras_serializable(package="keras_rlr")
class PaDiM(OnePassDetector):
    """Compares every place of an image with the Gaussian of that place.

    The features of three levels of a frozen backbone are brought to the finest grid;
    of their channels some are drawn at random. `fit` looks at each normal image once
    and takes, for each place, their mean and covariance. The anomaly of a place is its
    Mahalanobis distance. It learns no weights; for parts that lie in one position.
    Source: "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and
    Localization" (Defard et al., 2021).

    Departures from the published description:

    | point | published | here |
    |---|---|---|
    | backbone | ResNet-18 (100 channels) or WideResNet-50 (550), 224 px | any, 256 px |
    | 3x3 averaging of the features | none | the package's, as for all methods |
    | image's score | largest of the map, scaled to 0-1 by the test set | not scaled |
    | Gaussians | one set a category | one set for all |

    Args:
        backbone: See `RLR`.
        backbone_weights: See `RLR`.
        levels: Feature levels, fine to coarse, by default 1, 2 and 3; the Gaussians
            have the finest one's grid. Of a vision transformer see `RLR`.
        image_size: What images are resized to: the side of a square, or (height,
            width), in pixels.
        num_channels: Channels that are drawn, or all where there are fewer. The model
            has as many squared a place.
        smoothing: Standard deviation in pixels of the Gaussian that smooths the map.
        standardize_features: Whether each channel is brought to mean 0 and variance 1
            over the training images. It changes nothing but what the 0.01 added to
            the covariances' diagonals weighs.
        distribution: See `RLR`.
        seed: Seed of the random choice; None draws one.
        bit_depth: See `RLR`.
        fitted: Whether `fit` was called; a saved model has it.
        channels: Numbers of the channels that are used, counted over all levels, in
            place of drawn ones; a saved model has those that it drew.
        **kwargs: `tiles`, `overlap`, `tiles_aligned` and `region_of_interest`: see
            `keras_rlr.detectors.detector_model`; `name` and `dtype`, as in Keras.

    Call arguments:
        inputs: Images, tensor (batch, height, width, channels), uint8, uint16 or float
            in 0-255.

    Returns:
        Dict of float32 tensors: "anomaly_map" (batch, height, width), the
        smoothed distances, and "anomaly_score" (batch,), the map's largest value.

    Raises:
        ValueError: If a setting is not possible; the message says what would be.

    Example:

    >>> model = keras_rlr.PaDiM(backbone="efficientnet_lite2", num_channels=20, seed=0)
    >>> images = np.random.randint(0, 256, (2, 256, 256, 3), "uint8")
    >>> history = model.fit(images, verbose=0)
    >>> model.predict(images, verbose=0)["anomaly_map"].shape
    (2, 256, 256)
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "padim_efficientnet_b6": {"backbone": "efficientnet_b6"},
        "padim_efficientnet_lite2": {
            "backbone": "efficientnet_lite2",
            "standardize_features": True,
        },
    }

    takes_tiles = False
    takes_aligned_tiles = True

    def __init__(
        self,
        backbone="efficientnet_b6",
        backbone_weights="imagenet",
        levels=None,
        image_size=256,
        num_channels=100,
        smoothing=4.0,
        standardize_features=False,
        distribution=None,
        seed=None,
        bit_depth=None,
        fitted=False,
        channels=None,
        **kwargs,
    ):
        super().__init__(
            backbone=backbone,
            backbone_weights=backbone_weights,
            levels=levels,
            image_size=image_size,
            standardize_features=standardize_features,
            distribution=distribution,
            seed=seed,
            bit_depth=bit_depth,
            **kwargs,
        )
        self.num_channels = whole_number("num_channels", num_channels, 1, MOST_CHANNELS)
        self.fitted = bool(fitted)
        with self.scope():
            self.fused_levels = FusedLevels(
                "finest", coarser="nearest", dtype="float32", name="fused_levels"
            )
            shapes = [(None, *shape) for shape in self.feature_shapes]
            self.fused_levels.build(shapes)
            shape = self.fused_levels.compute_output_shape(shapes)
            # Another version of NumPy may draw others from the same seed.
            self.channels = (
                _draw(shape[-1], self.num_channels, self.seed)
                if channels is None
                else _checked_channels(channels, shape[-1])
            )
            self.gaussians = PositionGaussians(self.places_each, name="gaussians")
            self.gaussians.build((*shape[:-1], len(self.channels)))
            smoothing = finite_number("smoothing", smoothing, 0, WIDEST)
            self.smoothing = AnomalyScore(smoothing, name="smoothing")
            self.smoothing.build((None, *self.image_shape))
        self.compile()

    def check_ready(self):
        """Refuses to infer before there are Gaussians."""
        super().check_ready()
        if not self.fitted:
            raise ValueError(
                "This PaDiM has seen no normal images yet. Call fit(images) first; it "
                "takes one pass."
            )

    @property
    def described_size(self):
        """What `fit` stored and how much that is, in words, or None."""
        places, channels = self.gaussians.mean.shape
        return (
            f"Gaussians of {places} places and {channels} channels, "
            f"{places * channels * (channels + 1) * 4 / 2**20:.1f} MiB"
        )

    def tokens_of(self, features):
        """Returns the drawn channels of all levels in one grid, (batch, H, W, C)."""
        return ops.take(self.fused_levels(features), self.channels, axis=-1)

    def outputs_of(self, inputs, training=False):
        """Returns map and score; the loss of an image is the mean distance."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        levels = self.features_of(batch)
        distances = self.gaussians(self.tokens_of(levels), batch.get("tile"))
        upsampled = upsample_map(distances, self.image_shape, align_corners=False)
        outputs = {
            "anomaly_map": self.smoothing.smooth(upsampled),
            "anomaly_score": self.smoothing(upsampled),
        }
        if "weight" in batch:
            outputs["loss"] = ops.mean(distances, axis=(1, 2))
        if "describe" in batch:
            outputs["image_features"] = mean_features(levels)
        return outputs

    def leave_former_features(self):
        """Has no Gaussians any more: they are of features standardised otherwise."""
        self.fitted = False

    def begin_pass(self):
        """Begins sums of values and of their products, for each tile if it is to."""
        places, channels = self.gaussians.mean.shape
        shape = (self.places_each, places // self.places_each, channels)
        self._count = np.zeros(self.places_each, "int64")
        self._origin, self._sum = np.zeros(shape, "float32"), np.zeros(shape)
        self._products = np.zeros((*shape, channels))

    def take_in(self, features, tiles=None):
        """Adds the features of some images to the sums."""
        tokens = ops.convert_to_numpy(self.tokens_of(features))
        rows = np.asarray(tokens, "float32").reshape(
            len(tokens), -1, len(self.channels)
        )
        tiles = np.zeros(len(rows), int) if tiles is None else tiles
        for tile in np.unique(tiles):
            self._add(tile, rows[tiles == tile])

    def _add(self, tile, rows):
        if not self._count[tile]:
            # Sums of squares of what lies far from 0 would lose the small differences.
            self._origin[tile] = rows.mean(axis=0)
        rows = np.swapaxes(rows - self._origin[tile], 0, 1)
        self._count[tile] += rows.shape[1]
        self._sum[tile] += rows.sum(axis=1)
        self._products[tile] += np.matmul(np.swapaxes(rows, 1, 2), rows)

    def end_pass(self):
        """Sets the Gaussians; returns the root mean square distance of the images."""
        if not self._count.all():
            raise ValueError(
                "The images that were looked at had no tile of some places, so there "
                "is nothing to compare those with. Leave `steps_per_epoch` out."
            )
        fewest = self._count.min()
        if fewest <= len(self.channels):
            warnings.warn(
                f"{fewest} images are too few for covariances of {len(self.channels)} "
                "channels: in most directions the 0.01 that is added to each variance "
                "decides. Give more images, fewer `num_channels`, or use PatchCore, "
                "which works from one image on.",
                stacklevel=2,
            )
        _, _, channels = self._sum.shape
        # One number a place, all places of all tiles in one row.
        count = np.repeat(self._count, self._sum.shape[1])[:, None]
        total = self._sum.reshape(-1, channels)
        products = self._products.reshape(-1, channels, channels)
        mean = self._origin.reshape(-1, channels) + total / count
        products -= total[:, :, None] * (total / count)[:, None]
        # Now the covariances, as NumPy's.
        products /= np.maximum(count - 1, 1)[..., None]
        whitening = np.empty(products.shape, "float32")
        squares = 0.0
        for start in range(0, len(products), _PLACES_AT_A_TIME):
            places = slice(start, start + _PLACES_AT_A_TIME)
            covariance = products[places]
            added = covariance + _REGULARIZATION * np.eye(len(self.channels))
            inverse = np.linalg.inv(np.linalg.cholesky(added))
            whitening[places] = np.swapaxes(inverse, 1, 2)
            # The mean of the squared distances is the trace of Σ⁻¹ times what Σ was.
            trace = np.sum(np.matmul(inverse, covariance) * inverse, axis=(1, 2))
            squares += np.sum(trace * ((count - 1) / count)[places, 0])
        del self._sum, self._products, self._origin
        self.gaussians.store(mean.astype("float32"), whitening)
        self.fitted = True
        return np.sqrt(squares / len(mean))

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            "num_channels": self.num_channels,
            "smoothing": self.smoothing.sigma,
            "fitted": self.fitted,
            "channels": self.channels.tolist(),
        }


def _draw(available, count, seed):
    """Positions of the channels that are drawn, ascending."""
    generator = np.random.Generator(np.random.Philox(derive_seed(seed, "channels")))
    count = min(count, available)
    return np.sort(generator.choice(available, count, replace=False)).astype("int32")


def _checked_channels(channels, available):
    """Positions of channels that were given."""
    is_list = isinstance(channels, list | tuple | np.ndarray) and len(channels)
    if not is_list or len(channels) > available:
        raise ValueError(
            f"`channels` are numbers of 1 to {available} of the levels' {available} "
            f"channels. Received: {channels!r}."
        )
    numbers = [whole_number("channels", each, 0, available - 1) for each in channels]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"`channels` names one twice. Received: {channels!r}.")
    return np.array(numbers, "int32")
