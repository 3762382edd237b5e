"""Detectors that look at tiles, against the same detectors asked tile by tile."""

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.detectors import inference
from keras_rlr.evaluation.predict_batch import predict_batch
from keras_rlr.inputs import host_batches
from keras_rlr.inputs.image_measures import MEASURES
from keras_rlr.inputs.large_image import LargeImage
from keras_rlr.inputs.resize import resize_images
from tests.tiny_model import (
    ONE_LEVEL,
    random_images,
    tiny_backbone,
    tiny_model,
    tiny_simplenet,
)

SIZE = (32, 48)
IMAGES = random_images(4, 70, 150)
METHODS = {
    "RLR": lambda **options: tiny_model(
        **ONE_LEVEL, standardize_features=True, coreset_ratio=0.5, **options
    ),
    "PatchCore": lambda **options: keras_rlr.PatchCore(
        tiny_backbone(), levels=(1, 2), seed=0, **options
    ),
    "MKD": lambda **options: keras_rlr.MKD(
        tiny_backbone(), levels=(1, 2), student_width=4, seed=0, **options
    ),
}
# At once, and one after the other.
TILES = {"few": (2, 3), "many": (3, 6)}


def trained(method, tiles):
    """Has seen the images; but for MKD, which needs it, no step is compiled for it."""
    model = METHODS[method](image_size=SIZE, tiles=tiles, overlap=0.25)
    if method == "RLR":
        model.adapt(IMAGES)
    else:
        model.fit(IMAGES, epochs=1, verbose=0)
    return model


@pytest.mark.parametrize(
    ("method", "tiles"),
    [
        ("RLR", "few"),
        ("PatchCore", "many"),
        ("MKD", "few"),
        *(
            pytest.param(*other, marks=pytest.mark.backend_independent)
            for other in (("RLR", "many"), ("PatchCore", "few"), ("MKD", "many"))
        ),
    ],
)
def test_maps_and_scores_are_those_of_the_tiles(method, tiles):
    model = trained(method, TILES[tiles])
    tiling = model.tiling
    outputs = model.predict(IMAGES, verbose=0, original_size=False)
    assert outputs["anomaly_map"].shape == (4, *tiling.whole_size)
    # The same weights, asked about each tile.
    of_one = type(model).from_config({**model.get_config(), "tiles": None})
    of_one.set_weights(model.get_weights())
    whole = resize_images(IMAGES, tiling.whole_size)
    wanted = np.zeros((4, *tiling.whole_size))
    highest = np.full(4, -np.inf)
    of_rows, of_columns = tiling.weights()
    pieces = [
        tiling.cut(image, number) for image in whole for number in range(tiling.count)
    ]
    found = of_one.predict(np.stack(pieces), batch_size=4 * tiling.count, verbose=0)
    for index in range(len(pieces)):
        image, number = divmod(index, tiling.count)
        top, left = tiling.corners[number]
        weight = np.outer(
            of_rows[number // tiling.columns], of_columns[number % tiling.columns]
        )
        place = np.s_[image, top : top + SIZE[0], left : left + SIZE[1]]
        wanted[place] += weight * found["anomaly_map"][index]
        highest[image] = max(highest[image], found["anomaly_score"][index])
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(
        outputs["anomaly_map"] / scale, wanted / scale, atol=1e-4
    )
    np.testing.assert_allclose(outputs["anomaly_score"], highest, rtol=1e-4)


def test_maps_have_the_size_of_their_images():
    model = trained("PatchCore", (2, 2))
    assert model.predict(IMAGES, verbose=0)["anomaly_map"].shape == IMAGES.shape[:3]
    two = [IMAGES[0], IMAGES[1][:50]]
    maps = model.predict(two, verbose=0)["anomaly_map"]
    assert [one.shape for one in maps] == [(70, 150), (50, 150)]


def test_files_evaluation_and_thresholds(tmp_path):
    model = trained("PatchCore", (2, 2))
    # One product is bright and the other dark, so that they can be told apart.
    held = np.concatenate([random_images(6, 70, 150) // 3, IMAGES // 2 + 127])
    names = ["bolt"] * 6 + ["nut"] * 4
    elements = [
        {"image": x, "category": name} for x, name in zip(held, names, strict=True)
    ]
    model.calibrate(elements, 0.2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.tiles, loaded.overlap) == ((2, 2), 0.25)
    before, after = (m.predict(IMAGES, verbose=0) for m in (model, loaded))
    assert set(before) >= {"category", "comparable_score", "is_anomalous"}
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, rtol=1e-5, atol=1e-5)
    masks = np.zeros(IMAGES.shape[:3], bool)
    masks[2:, :20, :20] = True
    test = {"image": IMAGES, "label": np.array([0, 0, 1, 1]), "mask": masks}
    results = model.evaluate(test, return_dict=True, verbose=0)
    assert np.isfinite(list(results.values())).all()


@pytest.mark.backend_independent
def test_every_kind_of_data_is_trained_on_tile_by_tile():
    torch = pytest.importorskip("torch")
    scores = []
    loader = torch.utils.data.DataLoader(torch.from_numpy(IMAGES), batch_size=2)
    for data in (IMAGES, list(IMAGES), loader, [{"image": x} for x in IMAGES]):
        model = METHODS["PatchCore"](
            image_size=SIZE, tiles=(2, 3), overlap=8, coreset_ratio=1.0
        )
        model.fit(data, batch_size=2, verbose=0)
        tokens = (SIZE[0] // 4) * (SIZE[1] // 4)
        assert model.bank_size == len(IMAGES) * 6 * tokens
        scores.append(model.predict(IMAGES, verbose=0)["anomaly_score"])
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-4, atol=1e-4)


@pytest.mark.backend_independent
def test_a_cache_holds_every_tile_of_every_image():
    losses = []
    for cache in (None, keras_rlr.FeatureCache("memory", dtype="float32")):
        model = tiny_simplenet(image_size=SIZE, tiles=(2, 2))
        history = model.fit(
            IMAGES, batch_size=4, epochs=3, verbose=0, feature_cache=cache
        )
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.backend_independent
def test_one_step_takes_all_tiles_of_its_images():
    model = tiny_simplenet(image_size=SIZE, tiles=(2, 2))
    model.adapt(IMAGES)
    assert np.isfinite(model.train_on_batch(IMAGES))
    with pytest.raises(ValueError, match="has features of its own"):
        model.extract_features(IMAGES)


@pytest.mark.backend_independent
def test_an_overlap_without_tiles_is_refused():
    with pytest.raises(ValueError, match="`overlap` is of tiles, and there are none"):
        METHODS["PatchCore"](image_size=SIZE, overlap=0.1)
    # The model of one tile, which formats get that hold no loop, has none.
    model = trained("PatchCore", (3, 6))
    of_one, departures = model.exportable("onnx")
    assert of_one.tiles is None
    assert len(departures) == 1


@pytest.mark.backend_independent
def test_what_knows_places_takes_no_tiles():
    with pytest.raises(ValueError, match="PaDiM learns what is usual at each place"):
        keras_rlr.PaDiM(tiny_backbone(), levels=(1, 2), image_size=32, tiles=(2, 2))


@pytest.mark.backend_independent
def test_tile_by_tile_is_the_same_in_less_memory():
    model = trained("PatchCore", (3, 6))
    whole = resize_images(IMAGES, model.map_size)
    model.region_of_interest = (0.2, 0.3, 0.5, 0.6)
    expected = model.infer_resized(whole)
    found = predict_batch(model, list(IMAGES), 4)
    for name in ("anomaly_map", "anomaly_score"):
        values = keras.ops.convert_to_numpy(expected[name])
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["RLR", "PatchCore"])
def test_losses_figures_and_thresholds_are_those_of_the_graph(method, monkeypatch):
    model = trained(method, (3, 6))
    model.region_of_interest = (0.2, 0.3, 0.5, 0.6)
    held = [{"image": image, "category": "nut"} for image in IMAGES]
    masks = np.zeros(IMAGES.shape[:3], bool)
    masks[2:, 20:50, 20:90] = True
    test = {"image": IMAGES, "label": np.array([0, 0, 1, 1]), "mask": masks}
    told = []
    for is_in_graph in (False, True):
        if is_in_graph:
            monkeypatch.setattr(inference, "goes_tile_by_tile", lambda model: False)
        model.calibrate(held, 0.2)
        found = model.evaluate(test, return_dict=True, verbose=0)
        thresholds = model.thresholds.calibration_scores
        found |= {"scores": thresholds.of("nut"), "pixels": model.pixel_threshold}
        found |= {name: thresholds.of(None, name) for name in MEASURES}
        told.append(found)
    found, wanted = told
    assert found.keys() == wanted.keys() >= {"loss", "pixel_aupro", "sharpness"}
    for name, values in wanted.items():
        assert len(np.atleast_1d(values)) in (1, len(IMAGES))
        np.testing.assert_allclose(
            found[name], values, rtol=1e-4, atol=1e-4, err_msg=name
        )


class Watch(keras.callbacks.Callback):
    """Keeps how many images each batch had."""

    counts: list[int]

    def on_predict_begin(self, logs=None):
        self.counts = []

    def on_predict_batch_end(self, batch, logs=None):
        assert batch == len(self.counts)
        self.counts.append(len(logs["anomaly_score"]))


@pytest.mark.backend_independent
def test_large_images_are_no_pixels_of_float32_to_keras(monkeypatch, capsys):
    model = trained("PatchCore", (3, 6))
    monkeypatch.setattr(host_batches, "_MOST_PIXELS_KEPT", 0)
    monkeypatch.setattr(
        LargeImage, "pixels", property(lambda self: pytest.fail("all pixels"))
    )
    watch = Watch()
    whole = model.predict(
        list(IMAGES), batch_size=3, steps=2, verbose="auto", callbacks=[watch]
    )
    assert watch.counts == [3, 1]
    assert "2/2" in capsys.readouterr().out
    (last,) = model.predict(IMAGES[3:], verbose=0)["anomaly_map"]
    np.testing.assert_allclose(last, whole["anomaly_map"][3], rtol=1e-5)
