"""A detector of tiles, on whole images."""

import keras
import numpy as np
from keras import ops

from keras_rlr.detectors.preprocessor import Preprocessor
from keras_rlr.inputs.tiled_source import in_tiles
from keras_rlr.layers.loops import map_entries
from keras_rlr.layers.tiles import blend_tiles, cut_tile, cut_tiles
from keras_rlr.tiling import DEFAULT_OVERLAP, Tiling

# So many are one batch. More go through the model one after the other.
MOST_AT_ONCE = 16
_TAKES_TILES = (
    f"An image of more than {MOST_AT_ONCE} tiles needs a loop, which this format does "
    "not hold: the export takes one tile, of the manifest's size. The score of an "
    "image is the highest of its tiles; `keras_rlr.tiling.Tiling` says where they lie. "
    "Format 'saved_model' takes the whole image."
)
_ALIGNED_TAKE_MOST = (
    f"An image of more than {MOST_AT_ONCE} tiles needs a loop, which this format does "
    "not hold, and one tile alone doesn't say where it lies, which tiles_aligned=True "
    "needs. Export as 'saved_model', which takes the whole image, or train with "
    f"{MOST_AT_ONCE} tiles or fewer."
)
_NO_PRODUCT = (
    "Products are recognised by the whole image, and the export, which sees a tile, "
    "recognises none: it decides by the threshold of all images together. Where you "
    "know the product, compare the score with its own threshold, of the manifest's "
    "`category_thresholds`."
)
_NO_REGION = (
    "The region of interest is of the whole image, and is not in the export: leave "
    "tiles out that lie outside of it."
)


def tiling_of(model, tiles):
    """Returns the `Tiling` of a detector, and the layer that resizes whole images.

    Args:
        model: The detector, which knows its `overlap` and `image_size`.
        tiles: (rows, columns), or None for None twice.

    Raises:
        ValueError: If its method can't look at tiles, or they are not possible.
    """
    if tiles is None:
        if model.overlap != DEFAULT_OVERLAP:
            raise ValueError(
                "`overlap` is of tiles, and there are none. Received "
                f"{model.overlap!r}. Give tiles=(rows, columns) too, or leave it out."
            )
        if model.tiles_aligned:
            raise ValueError(
                "`tiles_aligned` is of tiles, and there are none. Give "
                "tiles=(rows, columns) too, or leave it out."
            )
        return None, None
    if model.tiles_aligned and not model.takes_aligned_tiles:
        raise ValueError(
            f"{type(model).__name__} has one normal for tiles of all places. Leave "
            "`tiles_aligned` out, or choose a method that learns what is usual at each "
            "place of an image."
        )
    if not (model.takes_tiles or model.tiles_aligned):
        raise ValueError(
            f"{type(model).__name__} learns what is usual at each place of an image, "
            "and a tile may be at any. If all parts lie in one position, give "
            "tiles_aligned=True too; else leave `tiles` out, and for images that are "
            "no squares give image_size=(height, width)."
        )
    tiling = Tiling.of(tiles, model.overlap, model.image_size)
    preprocessor = Preprocessor(
        tiling.whole_size, (0.0,) * 3, (1.0,) * 3, name="whole_preprocessor"
    )
    preprocessor.build((None, None, None, 3))
    return tiling, preprocessor


def training_source(model, source):
    """Returns the source of what a detector is trained on: of images, or their tiles.

    Args:
        model: The detector.
        source: Source of images.
    """
    if model.tiling is None:
        return source
    return in_tiles(source, model.tiling, model.bit_depth)


def is_of_training(inputs):
    """Whether a batch is of a training: where there are tiles, it is of them already.

    It has keys of noise, or features of a cache.

    Args:
        inputs: As of a model's call.
    """
    is_dict = isinstance(inputs, dict)
    return is_dict and ("noise_key" in inputs or "image" not in inputs)


def outputs_on_tiles(model, inputs, training=False):
    """Returns what a detector says of images, from what it says of their tiles.

    The map is that of the tiles, blended where they overlap. The score is the highest
    of a tile, the loss and the features of the image are means.

    Args:
        model: The detector, with a `tiling`.
        inputs: Images, or a dict with "image" and what else a batch may have.
        training: As of the model's call.

    Returns:
        Dict of tensors, as of the model's call.
    """
    # Without a word on their places, `outputs_of` takes tiles of images in order.
    tiling = model.tiling
    batch = inputs if isinstance(inputs, dict) else {"image": inputs}
    images = model.whole_preprocessor(batch["image"])
    # Where to look is for the whole.
    of_whole = ("image", "region", "product")
    others = {name: rows for name, rows in batch.items() if name not in of_whole}
    scores_too = model.has_score_map and model.looks_at_parts(batch)
    if tiling.count <= MOST_AT_ONCE:
        repeated = {
            name: ops.repeat(rows, tiling.count, axis=0)
            for name, rows in others.items()
        }
        tiles = {"image": cut_tiles(images, tiling), **repeated}
        outputs = model.outputs_of(tiles, training=training)
        outputs = {
            name: ops.reshape(value, (-1, tiling.count, *value.shape[1:]))
            for name, value in outputs.items()
            if scores_too or name != "score_map"
        }
    else:
        outputs = _one_by_one(model, images, others, training, scores_too)
    return {name: _OF_TILES[name](value, tiling) for name, value in outputs.items()}


def _one_by_one(model, images, others, training, scores_too):
    """Outputs (batch, tiles, …) in the memory of one tile's activations."""
    tiling = model.tiling
    names: list[str] = []

    def of_tile(corner, number):
        tile = {"image": cut_tile(images, corner, tiling), **others}
        if model.tiles_aligned:
            tile["tile"] = ops.reshape(number, (1,))
        outputs = model.outputs_of(tile, training=training)
        names[:] = sorted(n for n in outputs if scores_too or n != "score_map")
        return tuple(outputs[name] for name in names)

    corners = ops.convert_to_tensor(np.array(tiling.corners, "int32"))
    places = (corners, ops.arange(tiling.count, dtype="int32"))
    shapes = _shapes(model, others, training, scores_too)
    outputs = map_entries(of_tile, places, shapes)
    return {
        name: ops.moveaxis(value, 0, 1)
        for name, value in zip(names, outputs, strict=True)
    }


def _shapes(model, others, training, scores_too):
    """Shapes of the outputs of all tiles by the names' order, for TensorFlow's loop."""
    shapes = {} if training else {"anomaly_map": model.image_shape, "anomaly_score": ()}
    if scores_too and not training:
        shapes["score_map"] = model.image_shape
    if training or "weight" in others:
        shapes["loss"] = ()
    if "describe" in others:
        shapes["image_features"] = (None,)
    return [
        keras.KerasTensor((model.tiling.count, None, *shapes[name]), "float32")
        for name in sorted(shapes)
    ]


def _highest(scores, tiling):
    # Not every runtime lets NaN through a maximum.
    mean = ops.mean(scores, axis=1)
    return ops.where(ops.isnan(mean), mean, ops.max(scores, axis=1))


def _mean(values, tiling):
    return ops.mean(values, axis=1)


_OF_TILES = {
    "anomaly_map": blend_tiles,
    "score_map": blend_tiles,
    "anomaly_score": _highest,
    "loss": _mean,
    "image_features": _mean,
}


def infer_tiles(model, tiles, batch_size, number=None, with_loss=False):
    """What a detector says of tiles by themselves.

    Args:
        model: The detector.
        tiles: float32 array (tiles, height, width, 3), RGB in 0-255.
        batch_size: Tiles of a batch; there may be fewer.
        number: Where all of them lie, of a model that is to know it.
        with_loss: Whether the outputs have "loss".

    Returns:
        Dict of arrays, as of `DetectorModel.infer_resized`.
    """
    count = len(tiles)
    padding = ((0, batch_size - count), (0, 0), (0, 0), (0, 0))
    batch = {
        "image": np.pad(tiles, padding, mode="edge"),
        "noise_key": np.zeros((batch_size, 2), "int32"),
        "describe": np.zeros(batch_size, "float32"),
    }
    if with_loss:
        batch["weight"] = np.ones(batch_size, "float32")
    if model.tiles_aligned:
        batch["tile"] = np.array([number], "int32")
    with model.scope():
        outputs = keras.Model.predict_on_batch(model, batch)
    return {name: np.asarray(values)[:count] for name, values in outputs.items()}


def exportable_tiles(model, format):
    """What `DetectorModel.exportable` returns: of many tiles the model of one.

    Args:
        model: The detector.
        format: See `DetectorModel.exportable`.
    """
    if format == "saved_model" or model.parts_each <= MOST_AT_ONCE:
        return model, []
    if model.tiles_aligned:
        raise ValueError(_ALIGNED_TAKE_MOST)
    whole = {"tiles": None, "overlap": DEFAULT_OVERLAP, "region_of_interest": None}
    of_tile = model._copy({**model.get_config(), **whole})
    lost = [] if model.region_of_interest is None else [_NO_REGION]
    if model.known_categories:
        # They look as the mean of all tiles does, and no tile need look so.
        of_tile.thresholds.known.set(None)
        lost.append(_NO_PRODUCT)
    return of_tile, [_TAKES_TILES, *lost]
