import functools

import numpy as np
from keras import ops

from keras_rlr.backbones import level_name
from keras_rlr.checked_numbers import finite_number
from keras_rlr.detectors.anomaly_detector import INFERENCE_BATCH
from keras_rlr.detectors.feature_detector import FeatureDetector, mean_features
from keras_rlr.detectors.one_program import one_program
from keras_rlr.layers.anomaly_map import AnomalyMap
from keras_rlr.layers.anomaly_score import AnomalyScore
from keras_rlr.layers.feature_perturbation import FeaturePerturbation
from keras_rlr.layers.fused_levels import FusedLevels
from keras_rlr.layers.initializers import derive_seed
from keras_rlr.layers.tiles import numbers_in_order
from keras_rlr.losses import ReconstructionLoss


class ReconstructionDetector(FeatureDetector):
    """A detector that reconstructs features: what it can't is anomalous.

    A subclass defines `reconstruct_levels`.

    Args:
        noise_scale: Scale of the noise added to the features in training.
        cosine_damping: λ of the damped cosine of the score; 0 does not damp.
        fuse_levels: Whether all levels are reconstructed as one: in the grid of the
            coarsest, the tokens of finer ones that fall into one behind each other.
        dropout: Share of the features that are hidden in training.
        loss_of_squares: Whether the loss has the mean square beside the cosine.
        hard_mining: Share of each image's tokens whose gradient is weak.
        score_share: Share of the pixels that the score is the mean of.
        **kwargs: See `FeatureDetector`.
    """

    def __init__(
        self,
        noise_scale=0.0,
        cosine_damping=0.0,
        fuse_levels=False,
        dropout=0.0,
        loss_of_squares=True,
        hard_mining=0.0,
        score_share=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.fuse_levels = bool(fuse_levels)
        self.noise_scale = finite_number("noise_scale", noise_scale, 0)
        self.cosine_damping = finite_number("cosine_damping", cosine_damping, 0)
        with self.scope():
            # Of what is reconstructed: the names of the grids, and their shapes.
            self.grids = tuple(map(level_name, self.levels))
            self.grid_shapes = self.feature_shapes
            if self.fuse_levels:
                shapes = [(None, *shape) for shape in self.feature_shapes]
                self.fusion = FusedLevels(
                    "coarsest", finer="space_to_depth", dtype="float32", name="fusion"
                )
                self.fusion.build(shapes)
                self.grids = ("fused",)
                self.grid_shapes = [self.fusion.compute_output_shape(shapes)[1:]]
            self.perturbations = []
            for grid, shape in zip(self.grids, self.grid_shapes, strict=True):
                layer = FeaturePerturbation(
                    scale=self.noise_scale,
                    dropout=dropout,
                    seed=derive_seed(self.seed, f"noise_{grid}"),
                    name=f"perturbation_{grid}",
                    dtype="float32",
                )
                layer.build((None, *shape))
                self.perturbations.append(layer)
            self.anomaly_map = AnomalyMap(self.image_shape, name="anomaly_map")
            self.anomaly_map.build(None)
            self.anomaly_score = AnomalyScore(
                top_share=score_share, name="anomaly_score"
            )
            self.anomaly_score.build((None, *self.image_shape))
            self.reconstruction_loss = ReconstructionLoss(
                loss_of_squares, hard_mining, reduction=None
            )

    @property
    def uses_statistics(self):
        """Whether anything depends on mean and variance of the features."""
        return self.standardize_features or self.cosine_damping > 0

    def reconstruct_levels(self, features, tiles=None):
        """Returns the reconstructions of what is in each grid.

        Args:
            features: List of float32 tensors (batch, H, W, C), one a grid: one a level,
                or one of all levels where they are fused.
            tiles: int32 tensor (batch or 1,): which tile of an image each is, where
                that is to be known; else None.

        Returns:
            List of tensors of the same shapes.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define `reconstruct_levels`."
        )

    def outputs_of(self, inputs, training=False):
        """Returns map and score; in training the loss of each image."""
        batch = inputs if isinstance(inputs, dict) else {"image": inputs}
        levels = self.features_of(batch)
        features = self.in_grids(levels)
        tiles = None
        if self.tiles_aligned:
            tiles = batch.get("tile")
            if tiles is None:
                tiles = numbers_in_order(levels[0], self.parts_each)
        visible = [
            perturb(f, noise_key=batch.get("noise_key"), training=training)
            for perturb, f in zip(self.perturbations, features, strict=True)
        ]
        reconstructions = self._by_level(self.reconstruct_levels(visible, tiles))
        features = self._by_level(features)
        outputs = {}
        if training or "weight" in batch:
            outputs["loss"] = sum(
                self.reconstruction_loss(original, reconstruction)
                for original, reconstruction in zip(
                    features, reconstructions, strict=True
                )
            )
        if not training:
            error = self.anomaly_map(features, reconstructions, damping=self._damping())
            outputs.update(self.map_and_score(error, levels, tiles))
        if "describe" in batch:
            outputs["image_features"] = mean_features(levels)
        return outputs

    def map_and_score(self, error, features, tiles=None):
        """Returns anomaly map and score: of the error, unless a method adds to it.

        Args:
            error: float32 tensor (batch, height, width).
            features: List of float32 tensors (batch, H, W, C), one a level.
            tiles: As of `reconstruct_levels`.

        Returns:
            Dict of float32 tensors: "anomaly_map" (batch, height, width) and
            "anomaly_score" (batch,); "score_map", as the map, if `has_score_map`.
        """
        return {"anomaly_map": error, "anomaly_score": self.anomaly_score(error)}

    def in_grids(self, features):
        """Returns what is reconstructed: the levels, or all of them in one grid.

        Args:
            features: List of float32 tensors (batch, H, W, C), one a level.
        """
        return [self.fusion(features)] if self.fuse_levels else features

    def _by_level(self, tokens):
        """Splits what is in one grid, so that each level's error counts the same."""
        if not self.fuse_levels:
            return tokens
        return self.fusion.split(tokens[0], self.feature_shapes)

    def _damping(self):
        if not self.cosine_damping:
            return None
        # Of fused levels a token is several of the level's, and its norm is larger.
        sizes = [height * width for height, width, _ in self.feature_shapes]
        together = [size // min(sizes) if self.fuse_levels else 1 for size in sizes]
        return [
            self.cosine_damping
            * count
            * layer.mean_squared_norm(self.standardize_features)
            for layer, count in zip(self.standardizations, together, strict=True)
        ]

    def reconstruct(self, features):
        """Returns what the model reconstructs of features, without noise.

        Args:
            features: List of arrays (images, H, W, C), as from `extract_features`.

        Returns:
            List of float32 arrays of the same shapes.

        Raises:
            ValueError: If the number of levels or a shape is another.
        """
        if self.tiles_aligned:
            raise ValueError(
                "This model reconstructs each tile from a reference of its own, and "
                "features don't say which. Ask a model without `tiles_aligned`."
            )
        received = [tuple(np.shape(f))[1:] for f in features]
        counts = {len(f) for f in features}
        if received != self.feature_shapes or len(counts) != 1:
            raise ValueError(
                "`reconstruct` takes one array (images, height, width, channels) a "
                f"level, for the levels {self.levels} of the shapes "
                f"{self.feature_shapes} after the first axis. Received: "
                f"{[tuple(np.shape(f)) for f in features]}."
            )
        parts = []
        for start in range(0, counts.pop(), INFERENCE_BATCH):
            rows = slice(start, start + INFERENCE_BATCH)
            part = [ops.convert_to_tensor(f[rows], "float32") for f in features]
            levels = self._reconstruct_part(part)
            parts.append([ops.convert_to_numpy(level) for level in levels])
        return [np.concatenate(level) for level in zip(*parts, strict=True)]

    @functools.cached_property
    def _reconstruct_part(self):
        def reconstruct(features):
            levels = self.reconstruct_levels(self.in_grids(features))
            if self.fuse_levels:
                levels = self.fusion.unfused(levels[0], self.feature_shapes)
            return [ops.cast(level, "float32") for level in levels]

        return one_program(self, reconstruct)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "noise_scale": self.noise_scale,
            "cosine_damping": self.cosine_damping,
            "fuse_levels": self.fuse_levels,
            "dropout": self.perturbations[0].dropout,
            "loss_of_squares": self.reconstruction_loss.with_square,
            "hard_mining": self.reconstruction_loss.hard_mining,
            "score_share": self.anomaly_score.top_share,
        }
