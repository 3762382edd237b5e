import contextlib
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from keras_rlr.checked_numbers import finite_number
from keras_rlr.detectors.feature_detector import mean_features
from keras_rlr.detectors.greedy_coreset import PatchSelection, check_coreset
from keras_rlr.detectors.one_pass_detector import OnePassDetector
from keras_rlr.inputs.augmentation import resolve_augmentation, variants_of, vary
from keras_rlr.layers.anomaly_map import upsample_map
from keras_rlr.layers.anomaly_score import WIDEST, AnomalyScore
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.memory_bank import MemoryBank


@keras.saving.register_keras_serializable(package="keras_rlr")
class PatchCore(OnePassDetector):
    """Compares every patch of an image with patches of normal images that it keeps.

    The features of two levels of a frozen backbone are brought to one grid; what lies
    in one place of it is a patch. `fit` looks at each normal image once and keeps a
    few patches that cover all others (greedy k-centre selection): the memory bank. The
    anomaly of a patch is its distance to the nearest one in the bank; that of an image
    is its largest. It learns no weights, and works from one image on. Source: "Towards
    Total Recall in Industrial Anomaly Detection" (Roth et al., CVPR 2022).

    Departures from the published implementation:

    | point | published | here |
    |---|---|---|
    | backbone | WideResNet-50, levels 2 and 3, 224 px of 256 | the package's, 256 px |
    | channels | both levels averaged to 1024 and mixed | all, one behind the other |
    | 3x3 averaging | border patches average zeros too | the same |
    | standardised features | no | an option; on in the Lite2 preset |
    | coreset | a share of all patches | of at most `max_patches`, drawn at random |
    | mean distance to ten rows | chooses the first, and caps all | chooses the first |
    | distance | in the code its square, smoothed | the paper's, smoothed |
    | weighted score | in the paper, not in the code | `reweighted_neighbors` |
    | bank of a class | one bank a category | one bank for all |

    Args:
        backbone: See `RLR`.
        backbone_weights: See `RLR`.
        levels: Feature levels, fine to coarse, by default 2 and 3; the bank has the
            finest one's grid. Of a vision transformer see `RLR`.
        image_size: What images are resized to: the side of a square, or (height,
            width), in pixels.
        coreset_ratio: Share of the patches that is kept, above 0 and at most 1.
        max_patches: Patches that the selection begins with; of more, so many are drawn
            at random. It bounds memory and time.
        distance: "euclidean", or "cosine" for features whose length says nothing.
        reweighted_neighbors: Neighbours in the bank by which the image's score is
            weighed (the paper's b, the nearest itself among them; from 2 on); 0 does
            not weigh.
        smoothing: Standard deviation in pixels of the Gaussian that smooths the map.
        augmentation: Of "flip" (left-right and up-down) and "rotate" (by quarter
            turns), those that make further training images of each; for few images.
        standardize_features: Whether each channel is brought to mean 0 and variance 1
            over the training images.
        distribution: See `RLR`.
        seed: Seed of the random choices; None draws one.
        bit_depth: See `RLR`.
        bank_size: Patches in the bank; `fit` sets it, and a saved model has it.
        **kwargs: `tiles`, `overlap`, `tiles_aligned` and `region_of_interest`: see
            `keras_rlr.detectors.detector_model`; `name` and `dtype`, as in Keras.

    Call arguments:
        inputs: Images, tensor (batch, height, width, channels), uint8, uint16 or float
            in 0-255.

    Returns:
        Dict of float32 tensors: "anomaly_map" (batch, height, width), the
        smoothed distances, and "anomaly_score" (batch,), the largest distance.

    Raises:
        ValueError: If a setting is not possible; the message says what would be.

    Example:

    >>> model = keras_rlr.PatchCore(backbone="efficientnet_lite2", seed=0)
    >>> images = np.random.randint(0, 256, (2, 256, 256, 3), "uint8")
    >>> history = model.fit(images, verbose=0)
    >>> model.bank_size
    205
    """

    adds_to_what_it_stores = True
    PYRAMID_LEVELS: ClassVar[tuple[int, ...]] = (2, 3)
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "patchcore_efficientnet_b6": {"backbone": "efficientnet_b6"},
        "patchcore_efficientnet_lite2": {
            "backbone": "efficientnet_lite2",
            "coreset_ratio": 0.01,
            "standardize_features": True,
        },
        "patchcore_dinov2_small": {
            "backbone": "dinov2_small",
            "image_size": 392,
            "coreset_ratio": 0.01,
            "distance": "cosine",
        },
        "patchcore_dinov2_base": {
            "backbone": "dinov2_base",
            "image_size": 392,
            "coreset_ratio": 0.01,
            "distance": "cosine",
        },
    }

    def __init__(
        self,
        backbone="efficientnet_b6",
        backbone_weights="imagenet",
        levels=None,
        image_size=256,
        coreset_ratio=0.1,
        max_patches=200_000,
        distance="euclidean",
        reweighted_neighbors=0,
        smoothing=4.0,
        augmentation=(),
        standardize_features=False,
        distribution=None,
        seed=None,
        bit_depth=None,
        bank_size=None,
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
        self.coreset_ratio, self.max_patches = check_coreset(coreset_ratio, max_patches)
        self.augmentation = resolve_augmentation(augmentation, self.image_size)
        shapes = [(None, *shape) for shape in self.feature_shapes]
        with self.scope():
            self.fused_levels = FusedLevels(
                "finest", dtype="float32", name="fused_levels"
            )
            self.fused_levels.build(shapes)
            self.memory_bank = MemoryBank(
                bank_size, distance, reweighted_neighbors, name="memory_bank"
            )
            self.memory_bank.build(self.fused_levels.compute_output_shape(shapes))
            smoothing = finite_number("smoothing", smoothing, 0, WIDEST)
            self.smoothing = AnomalyScore(smoothing, name="smoothing")
            self.smoothing.build((None, *self.image_shape))
        self._keeps_bank = False
        self.compile()

    @property
    def bank_tokens(self):
        """The layer that makes of the levels what the memory bank compares."""
        return self.fused_levels

    @property
    def bank_size(self):
        """Number of patches in the memory bank, or None before there is one."""
        return self.memory_bank.size

    def check_ready(self):
        """Refuses to infer before there is a bank."""
        super().check_ready()
        if self.bank_size is None:
            raise ValueError(
                "This PatchCore has no memory bank yet. Call fit(images) on normal "
                "images first; one pass, and one image is enough."
            )

    @property
    def described_size(self):
        """What `fit` stored and how much that is, in words, or None."""
        return self.memory_bank.described_size

    def outputs_of(self, inputs, training=False):
        """Returns map and score; the loss of an image is the mean distance."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        levels = self.features_of(batch)
        tokens = self.fused_levels(levels)
        distances, scores = self.memory_bank(tokens, with_score=True)
        upsampled = upsample_map(distances, self.image_shape, align_corners=False)
        outputs = {
            "anomaly_map": self.smoothing.smooth(upsampled),
            "anomaly_score": scores,
        }
        if "weight" in batch:
            outputs["loss"] = ops.mean(distances, axis=(1, 2))
        if "describe" in batch:
            outputs["image_features"] = mean_features(levels)
        return outputs

    def training_batches(self, source, feature_cache, steps_per_epoch, **order):
        """Returns batches of images, or of their features from a cache."""
        if feature_cache is not None and self.augmentation:
            raise ValueError(
                "`augmentation` makes new images of those that are given, and a "
                "feature cache has only the given ones. Leave out either."
            )
        return super().training_batches(source, feature_cache, steps_per_epoch, **order)

    def variants(self, images):
        """Yields the images, turned and mirrored as `augmentation` says."""
        for variant in variants_of(self.augmentation):
            yield vary(images, variant)

    def leave_former_features(self):
        """Empties the bank, whose patches are of features standardised otherwise."""
        with self.scope():
            self.memory_bank.forget()
        self.forget_compiled_functions()

    @contextlib.contextmanager
    def storing_more(self):
        """A context in which `fit` adds patches to the bank, and replaces none."""
        self._keeps_bank = True
        try:
            yield
        finally:
            self._keeps_bank = False

    def begin_pass(self):
        """Forgets the patches that an earlier pass was going to select from."""
        self._selection = PatchSelection(
            self.coreset_ratio, self.max_patches, self.seed
        )

    def take_in(self, features, tiles=None):
        """Keeps the patches of some images, or a random choice where they are many."""
        self._selection.add(self.memory_bank.rows(self.fused_levels(features)))

    def end_pass(self):
        """Selects the bank; returns the mean distance of a patch to its nearest one."""
        patches, mean_distance = self._selection.select()
        del self._selection
        if self._keeps_bank and self.bank_size:
            stored = ops.convert_to_numpy(self.memory_bank.patches)
            patches = np.concatenate([stored, patches])
        self.memory_bank.store(patches)
        return mean_distance

    def get_config(self):
        """Returns the constructor's arguments; of the backbone no weights."""
        return {
            **super().get_config(),
            "coreset_ratio": self.coreset_ratio,
            "max_patches": self.max_patches,
            "distance": self.memory_bank.distance,
            "reweighted_neighbors": self.memory_bank.reweighted_neighbors,
            "smoothing": self.smoothing.sigma,
            "augmentation": self.augmentation,
            "bank_size": self.bank_size,
        }
