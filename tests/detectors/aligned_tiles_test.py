"""Tiles that know their place: each against a model of its place alone."""

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

import keras_rlr
from keras_rlr.datasets import FolderDataset
from keras_rlr.evaluation.predict_batch import predict_batch
from keras_rlr.inputs.resize import resize_images
from tests.tiny_model import ONE_LEVEL, random_images, tiny_backbone, tiny_model

SIZE = (32, 48)
IMAGES = random_images(4, 70, 150)
METHODS = {
    "RLR": lambda **options: tiny_model(
        **ONE_LEVEL, standardize_features=True, similar_images=2, **options
    ),
    "PaDiM": lambda **options: keras_rlr.PaDiM(
        tiny_backbone(), levels=(1, 2), num_channels=4, seed=0, **options
    ),
}
# At once, and one after the other.
TILES = {"few": (2, 3), "many": (3, 6)}


def trained(method, tiles):
    model = METHODS[method](image_size=SIZE, tiles=tiles, tiles_aligned=True)
    model.fit(IMAGES, epochs=1, verbose=0)
    return model


def without_tiles(model):
    settings = {"tiles": None, "tiles_aligned": False}
    return type(model).from_config({**model.get_config(), **settings})


def of_place(one, model, number):
    """Gives a model without tiles what another knows of one of its tiles."""
    numbers = [v for v in model.variables if v.name == "numbers"]
    others = [v for v in model.variables if v.name != "numbers"]
    for theirs, own in zip(others, one.variables, strict=True):
        values = ops.convert_to_numpy(theirs)
        if values.shape != own.shape:
            rows = len(values) // model.tiling.count
            values = values[number * rows : (number + 1) * rows]
        if own.name == "is_stored":
            values = values * (ops.convert_to_numpy(numbers[0]) == number)
        own.assign(values)
    return one


def expected_of(model, whole):
    """Map and score of images, each tile asked of the model of its place."""
    tiling = model.tiling
    maps = np.zeros((len(whole), *tiling.whole_size))
    highest = np.full(len(whole), -np.inf)
    of_rows, of_columns = tiling.weights()
    one = without_tiles(model)
    for number, (top, left) in enumerate(tiling.corners):
        tiles = np.stack([tiling.cut(image, number) for image in whole])
        found = of_place(one, model, number).predict(tiles, verbose=0)
        row, column = divmod(number, tiling.columns)
        weight = np.outer(of_rows[row], of_columns[column])
        place = np.s_[:, top : top + SIZE[0], left : left + SIZE[1]]
        maps[place] += weight * found["anomaly_map"]
        highest = np.maximum(highest, found["anomaly_score"])
    return maps, highest


@pytest.mark.parametrize(
    ("method", "tiles"),
    [
        ("RLR", "few"),
        ("PaDiM", "many"),
        pytest.param("RLR", "many", marks=pytest.mark.backend_independent),
        pytest.param("PaDiM", "few", marks=pytest.mark.backend_independent),
    ],
)
def test_each_tile_is_compared_with_what_is_usual_at_its_place(method, tiles):
    model = trained(method, TILES[tiles])
    whole = resize_images(IMAGES, model.map_size)
    maps, scores = expected_of(model, whole)
    found = model.predict(IMAGES, verbose=0, original_size=False)
    scale = np.abs(maps).max()
    np.testing.assert_allclose(found["anomaly_map"] / scale, maps / scale, atol=1e-4)
    np.testing.assert_allclose(found["anomaly_score"], scores, rtol=1e-4)
    if tiles == "many":
        # As the command does, which makes no whole image.
        found = predict_batch(model, list(IMAGES), 4)
        np.testing.assert_allclose(
            found["anomaly_map"] / scale, maps / scale, atol=1e-4
        )
        np.testing.assert_allclose(found["anomaly_score"], scores, rtol=1e-4)


def test_a_step_changes_the_references_of_its_tiles_alone():
    model = trained("RLR", TILES["few"])
    (reference,) = [v for v in model.trainable_variables if v.name == "reference"]
    before = ops.convert_to_numpy(reference).reshape(6, -1)
    # No step before moves them on.
    model.compile(keras.optimizers.SGD(0.1))
    source = [{"image": image} for image in IMAGES]
    model.fit(source, batch_size=1, steps_per_epoch=3, epochs=1, verbose=0)
    after = ops.convert_to_numpy(reference).reshape(6, -1)
    changed = (before != after).any(axis=1)
    assert 1 <= changed.sum() <= 3


@pytest.mark.backend_independent
def test_what_padim_learns_of_a_place_is_of_the_tiles_there():
    model = trained("PaDiM", TILES["few"])
    whole = resize_images(IMAGES, model.map_size)
    alone, one = without_tiles(model), without_tiles(model)
    for number in (0, 4):
        tiles = np.stack([model.tiling.cut(image, number) for image in whole])
        alone.fit(tiles, verbose=0)
        kept = of_place(one, model, number)
        for name in ("mean", "whitening"):
            wanted, found = (
                ops.convert_to_numpy(getattr(m.gaussians, name)) for m in (alone, kept)
            )
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.backend_independent
@pytest.mark.parametrize("cache", ["arrays", "files"])
def test_features_of_a_cache_know_their_place(cache, tmp_path):
    data = IMAGES
    if cache == "files":
        folder = tmp_path / "data" / "part" / "train" / "good"
        folder.mkdir(parents=True)
        for number, image in enumerate(IMAGES):
            Image.fromarray(image).save(folder / f"{number}.png")
        data = FolderDataset(tmp_path / "data")
    losses = []
    for kept in (None, keras_rlr.FeatureCache("memory", dtype="float32")):
        model = METHODS["RLR"](image_size=SIZE, tiles=(2, 2), tiles_aligned=True)
        history = model.fit(data, epochs=2, verbose=0, feature_cache=kept)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_saved_and_compact(tmp_path):
    model = trained("RLR", (2, 2))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.tiles, loaded.tiles_aligned) == ((2, 2), True)
    wanted = model.predict(IMAGES, verbose=0)
    # What of one reference is folded would serve the others ill.
    for other in (loaded, model.compact()):
        found = other.predict(IMAGES, verbose=0)
        for name in ("anomaly_map", "anomaly_score"):
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others export by TensorFlow too"
)
def test_an_export_takes_the_whole_image(tmp_path):
    model = trained("RLR", (2, 2))
    manifest = model.export(tmp_path / "model", format="litert")
    assert manifest["comparison"]["litert"]["passed"]


@pytest.mark.backend_independent
def test_what_can_not_be_is_refused():
    cases = (
        ("has one normal for tiles", keras_rlr.PatchCore, {"tiles": (2, 2)}),
        ("`tiles_aligned` is of tiles", keras_rlr.PatchCore, {}),
    )
    for message, method, options in cases:
        with pytest.raises(ValueError, match=message):
            method(
                tiny_backbone(),
                levels=(1, 2),
                image_size=32,
                tiles_aligned=True,
                **options,
            )
    with pytest.raises(ValueError, match="takes one reference from all images"):
        tiny_model(tiles=(2, 2), tiles_aligned=True, reference_start="means")
    model = tiny_model(**ONE_LEVEL, tiles=(3, 6), tiles_aligned=True)
    with pytest.raises(ValueError, match="Export as 'saved_model'"):
        model.exportable("onnx")
    with pytest.raises(ValueError, match="a reference of its own"):
        model.reconstruct([np.zeros((1, *model.feature_shapes[0]), "float32")])
