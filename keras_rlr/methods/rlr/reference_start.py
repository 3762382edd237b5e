"""A reference that begins with tokens of the training images."""

import numpy as np
from keras import ops

from keras_rlr.detectors.feature_detector import MOST_IMAGES_TO_ADAPT_ON
from keras_rlr.layers.initializers import derive_seed
from keras_rlr.layers.reference_weights import validate_tokens

STARTS = ("samples", "means")


def check_reference(tokens, start, attentions, of_tiles=False):
    """Returns `reference_tokens` and `reference_start` if they are possible together.

    Args:
        tokens: Tokens of each place.
        start: One of `STARTS`, or None.
        attentions: The branches of the blocks.
        of_tiles: Whether there is a reference for each tile of an image.

    Raises:
        ValueError: If a value is unknown, or has no use.
    """
    tokens = validate_tokens(tokens)
    if start is not None and start not in STARTS:
        raise ValueError(
            "`reference_start` must be None, 'samples' or 'means'. Received: "
            f"{start!r}."
        )
    if start == "means" and tokens > 1:
        raise ValueError(
            "A place has one mean, so reference tokens that all start from it would be "
            f"equal and stay so. Received reference_tokens={tokens}; start from "
            "'samples', or have one token."
        )
    if attentions == ("self",) and (tokens > 1 or start):
        raise ValueError(
            "Without an attention that reads the reference, 'mlka', 'lca' or 'cross', "
            "`reference_tokens` and `reference_start` have no use. Leave them out."
        )
    if start is not None and of_tiles:
        raise ValueError(
            "`reference_start` takes one reference from all images, and with "
            "tiles_aligned=True each tile has its own. Leave out either."
        )
    return tokens, start


def is_to_start(model):
    """Whether a model's reference is to be set from images, and never was.

    Args:
        model: The `RLR`.
    """
    return not model.is_compact and any(
        reconstructor.reference_weights.is_to_start
        for reconstructor in model.reconstructors
    )


def start_reference(model, parts):
    """Sets a model's reference from the features of at most 512 images.

    Args:
        model: The `RLR`.
        parts: Iterable of features of some images, lists of tensors (images, H, W, C),
            one a level, standardised if the model does so.

    Raises:
        ValueError: If there are fewer images than tokens of a place.
    """
    kind = _Means if model.reference_start == "means" else _Samples
    takers = [
        kind(model.reference_tokens, derive_seed(model.seed, f"start_{grid}"))
        for grid in model.grids
    ]
    for features in _of_some_images(parts):
        for taker, tokens in zip(takers, model.in_grids(features), strict=True):
            taker.add(np.asarray(ops.convert_to_numpy(tokens), "float32"))
    references = [taker.result() for taker in takers]
    with model.scope():
        for reconstructor, tokens in zip(model.reconstructors, references, strict=True):
            reconstructor.reference_weights.start(tokens)


def _of_some_images(parts):
    left = MOST_IMAGES_TO_ADAPT_ON
    for features in parts:
        yield [level[:left] for level in features]
        left -= min(left, features[0].shape[0])
        if not left:
            return


class _Means:
    """The mean token of each place."""

    def __init__(self, count, seed):
        self.images = 0
        self._sum = np.zeros((), "float64")

    def add(self, tokens):
        self.images += len(tokens)
        self._sum = self._sum + tokens.sum(axis=0, dtype="float64")

    def result(self):
        return (self._sum / self.images).astype("float32")[:, :, None]


class _Samples:
    """At each place the tokens of `count` images, others than at the next place."""

    def __init__(self, count, seed):
        self.count = count
        self.images = 0
        self._generator = np.random.Generator(np.random.Philox(seed))
        self._draws, self._tokens = [], []

    def add(self, tokens):
        self.images += len(tokens)
        draws = self._generator.random(tokens.shape[:3])
        draws = np.concatenate([*self._draws, draws])
        tokens = np.concatenate([*self._tokens, tokens])
        # The images of the highest of random numbers are a fair draw from all.
        highest = np.argsort(-draws, axis=0)[: self.count]
        self._draws = [np.take_along_axis(draws, highest, axis=0)]
        self._tokens = [np.take_along_axis(tokens, highest[..., None], axis=0)]

    def result(self):
        if self.images < self.count:
            raise ValueError(
                f"A reference of {self.count} tokens at each place, from as many "
                f"images, can't start from {self.images}. Give more images, or fewer "
                "`reference_tokens`."
            )
        return np.moveaxis(self._tokens[0], 0, 2)
