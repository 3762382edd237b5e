"""Where to look by the product that an image shows, and image by image."""

import warnings

import keras
import numpy as np
import pytest

from keras_rlr.evaluation.predict_batch import predict_batch
from keras_rlr.evaluation.test_predictions import predict_test_set
from tests.products import elements_of, strange_images
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, tiny_model

COUNTS = {"bolt": 12, "nut": 9, "washer": 7}
SIZE = (IMAGE_SIZE, IMAGE_SIZE)
LEFT, BELOW = (0, 0, 0.5, 1), (0, 0.5, 1, 0.5)


def calibrated(**overrides):
    model = tiny_model(**{**ONE_LEVEL, **overrides})
    model.calibrate(elements_of(COUNTS), false_positive_rate=0.2)
    return model


@pytest.fixture(scope="module")
def calibrated_once():
    return calibrated()


@pytest.fixture
def model(calibrated_once):
    yield calibrated_once
    calibrated_once.region_of_interest = None


@pytest.fixture(scope="module")
def images():
    """Two bolts, two nuts, two washers, and two of something else."""
    counts = dict.fromkeys(COUNTS, 2)
    new = elements_of(counts, seed=50, with_category=False)
    return np.stack([*(e["image"] for e in new), *strange_images()])


def of_single_regions(model, images, regions):
    """What the model says of each image, asked with its region alone."""
    found: dict = {}
    # Each is a graph of its own.
    for region in {id(region): region for region in regions}.values():
        model.region_of_interest = region
        outputs = model.predict(images, verbose=0)
        mine = [i for i, own in enumerate(regions) if own is region]
        for name, values in outputs.items():
            found.setdefault(name, np.zeros_like(values))[mine] = values[mine]
    model.region_of_interest = None
    return found


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


def test_each_product_has_its_own_region(model, images, tmp_path):
    mask = np.zeros((9, 7), "uint8")
    mask[2:6, 1:5] = 255
    regions = [LEFT, LEFT, mask, mask, None, None, None, None]
    expected = of_single_regions(model, images, regions)
    # Of a model whose `predict` was compiled before.
    model.region_of_interest = {"bolt": LEFT, "nut": mask}
    found = model.predict(images, verbose=0)
    assert_same(found, expected)
    arrays = model.region_of_interest
    assert sorted(arrays) == ["bolt", "nut"]
    left = np.broadcast_to(np.arange(IMAGE_SIZE) < 16, SIZE)
    np.testing.assert_array_equal(arrays["bolt"], left)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(loaded.predict(images, verbose=0), expected)
    assert_same(predict_batch(loaded, list(images), 8), expected)


@pytest.mark.backend_independent
def test_a_category_that_is_given_has_its_mask(model, images):
    model.region_of_interest = {"bolt": LEFT, "nut": BELOW}
    given = [{"image": image, "category": "nut"} for image in images]
    found = model.predict(given, verbose=0)["anomaly_map"]
    expected = of_single_regions(model, images, [BELOW] * 8)["anomaly_map"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    model.region_of_interest = {"bolt": LEFT, "nut": BELOW}
    given = [{"image": image, "category": "washer"} for image in images[:4]]
    outputs = model.predict(given, verbose=0)
    assert (outputs["category"] == 2).all()
    # `call` chooses too, and says no more than before.
    called = model(images[:4].astype("float32"))
    assert set(called) == {"anomaly_map", "anomaly_score"}
    chosen = keras.ops.convert_to_numpy(called["anomaly_map"])
    whole = of_single_regions(model, images[:4], [None] * 4)["anomaly_map"]
    np.testing.assert_allclose(outputs["anomaly_map"], whole, rtol=1e-4, atol=1e-5)
    regions = [LEFT, LEFT, BELOW, BELOW]
    expected = of_single_regions(model, images[:4], regions)["anomaly_map"]
    np.testing.assert_allclose(chosen, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.backend_independent
def test_what_is_ignored_is_taken_out(model, images):
    rest = np.ones((32, 32), bool)
    rest[16:] = False
    both = rest.copy()
    both[:, 16:] = False
    regions = [both, both, *[rest] * 6]
    expected = of_single_regions(model, images, regions)
    model.region_of_interest = {"bolt": LEFT}
    model.ignore(BELOW)
    assert_same(model.predict(images, verbose=0), expected)
    assert sorted(model.region_of_interest, key=str) == [None, "bolt"]
    model.region_of_interest = {"bolt": both, None: rest}
    assert_same(model.predict(images, verbose=0), expected)
    model.region_of_interest = None
    model.ignore({"bolt": BELOW})
    np.testing.assert_array_equal(model.region_of_interest["bolt"], rest)
    with pytest.raises(ValueError, match="The region of interest of bolt has no pixel"):
        model.ignore((0, 0, 1, 0.5))
    np.testing.assert_array_equal(model.region_of_interest["bolt"], rest)


@pytest.mark.backend_independent
def test_each_image_may_have_its_own_beside_the_models(model, images):
    halves = [LEFT, None] * 4
    left = np.zeros(SIZE, bool)
    left[:, :16] = True
    lower = np.zeros(SIZE, bool)
    lower[16:] = True
    wanted = [left, None, left & lower, lower, left, None, left, None]
    expected = of_single_regions(model, images, wanted)
    model.region_of_interest = {"nut": BELOW}
    look = model.where_to_look(halves)
    found = [
        predict_batch(model, list(images[rows]), 4, look=look, positions=rows)
        for rows in (range(3), range(3, 7), range(7, 8))
    ]
    found = {name: np.concatenate([o[name] for o in found]) for name in found[0]}
    assert_same(found, expected)
    tested = [
        {"image": image, "label": i % 2, "category": "nut"}
        for i, image in enumerate(images)
    ]
    kept = predict_test_set(model, tested, 3, regions_of_interest=halves)
    np.testing.assert_allclose(kept.maps, expected["anomaly_map"], atol=1e-5)
    np.testing.assert_allclose(kept.scores, expected["anomaly_score"], rtol=1e-4)


class WithRegions(list):
    """Elements, and where to look on each."""

    regions_of_interest = ()


@pytest.mark.backend_independent
def test_thresholds_are_of_where_is_looked():
    elements = elements_of(COUNTS)
    model = tiny_model(**ONE_LEVEL)
    # Before it recognises anything, by the categories that are given.
    model.region_of_interest = {"bolt": LEFT, "nut": BELOW}
    model.calibrate(elements, false_positive_rate=0.2)
    found = model.predict(elements, verbose=0)
    scores = model.thresholds.calibration_scores
    bolts = np.sort(found["anomaly_score"][:12])
    np.testing.assert_allclose(np.sort(scores.of("bolt")), bolts, rtol=1e-5)
    with_regions = WithRegions(elements)
    with_regions.regions_of_interest = [LEFT] * 12 + [BELOW] * 9 + [None] * 7
    model.region_of_interest = None
    model.calibrate(with_regions, false_positive_rate=0.2)
    again = model.thresholds.calibration_scores
    for name in COUNTS:
        np.testing.assert_allclose(again.of(name), scores.of(name), rtol=1e-5)
    assert model.region_of_interest is None


def test_a_graph_knows_the_products_of_now(images):
    model = calibrated()
    model.region_of_interest = {"bolt": LEFT}
    of_bolts = model.predict(images, verbose=0)["anomaly_map"]
    # The same images by other names.
    others = {"bolt": "nut", "nut": "bolt", "washer": "washer"}
    renamed = [{**e, "category": others[e["category"]]} for e in elements_of(COUNTS)]
    model.calibrate(renamed, false_positive_rate=0.2)
    found = model.predict(images, verbose=0)["anomaly_map"]
    assert (found[2:4] != of_bolts[2:4]).any()
    (expected,) = of_single_regions(model, images[2:3], [LEFT])["anomaly_map"]
    np.testing.assert_allclose(found[2], expected, atol=1e-5)


@pytest.mark.backend_independent
@pytest.mark.parametrize("tiles", [(2, 1), (17, 1)])
def test_tiles_and_maps_of_scores_see_the_region_of_the_product(tiles, calibrated_once):
    settings = {"similar_images": 2, "similar_share": (0.0, 1.0)}
    model = tiny_model(**ONE_LEVEL, coreset_ratio=0.1, tiles=tiles, **settings)
    images = np.stack([e["image"] for e in elements_of({"bolt": 1, "nut": 1}, 50)])
    model.fit(images, epochs=1, verbose=0)
    # By itself it would take seconds.
    model.thresholds.copy_from(calibrated_once.thresholds)
    regions = [LEFT, None]
    expected = of_single_regions(model, images, regions)
    right = expected["anomaly_map"][0, :, 3 * IMAGE_SIZE // 4 :]
    np.testing.assert_allclose(right, right[0, 0], rtol=1e-5)
    model.region_of_interest = {"bolt": LEFT}
    for found in (model.predict(images, verbose=0), predict_batch(model, images, 2)):
        np.testing.assert_allclose(
            found["anomaly_score"], expected["anomaly_score"], rtol=1e-3
        )
    # A region of the image, and not of its tiles.
    model.region_of_interest = None
    look = model.where_to_look(regions)
    found = predict_batch(model, list(images), 2, look=look)
    np.testing.assert_allclose(
        found["anomaly_score"], expected["anomaly_score"], rtol=1e-3
    )


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["", b"", np.array("")])
def test_an_empty_name_says_that_the_category_is_not_known(model, images, name):
    """Tensors of strings have no None."""
    elements = [{"image": image, "category": name} for image in images]
    found = model.predict(elements, verbose=0)
    expected = model.predict(images, verbose=0)
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)


@pytest.mark.backend_independent
def test_what_can_not_be_told_apart_is_refused(model):
    with pytest.raises(ValueError, match="mask for pil, which .* knows bolt, nut, was"):
        model.region_of_interest = {"pil": LEFT, "nut": LEFT}
    with pytest.raises(ValueError, match="an empty dict"):
        model.region_of_interest = {}
    with pytest.raises(ValueError, match="the key 3"):
        model.region_of_interest = {3: LEFT}
    # In the text of a saved model that is the key of all others.
    with pytest.raises(ValueError, match="none of them empty.* the key ''"):
        model.region_of_interest = {"": LEFT, "nut": LEFT}
    with pytest.raises(ValueError, match="is damaged"):
        model.region_of_interest = '{"nut": "32x32:no"}'
    assert model.region_of_interest is None
    plain = tiny_model(**ONE_LEVEL)
    images = [e["image"] for e in elements_of({"nut": 6})]
    plain.calibrate(images, false_positive_rate=0.2)
    with pytest.raises(ValueError, match="Calibrate it on more normal images with"):
        plain.region_of_interest = {"nut": LEFT}
    assert plain.region_of_interest is None


@pytest.mark.backend_independent
def test_masks_that_hold_nowhere_are_told():
    model = tiny_model(**ONE_LEVEL)
    model.region_of_interest = {"nut": LEFT, "cog": LEFT}
    images = [e["image"] for e in elements_of({"nut": 2})]
    with pytest.warns(UserWarning, match="looked at whole. Calibrate it on normal"):
        model.predict(images, verbose=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*looked at whole")
        model.predict([{"image": images[0], "category": "nut"}], verbose=0)
    with pytest.warns(UserWarning, match="masks of cog, which .* recognises bolt, nut"):
        model.calibrate(elements_of(COUNTS), false_positive_rate=0.2)
    assert model.forget_region_of("cog")
    assert not model.forget_region_of("bolt")
    assert model.thresholds.region == model.region_fingerprint != ""
    assert list(model.region_of_interest) == ["nut"]
    assert model.forget_region_of("nut")
    assert model.thresholds.region == model.region_fingerprint == ""
    assert model.region_of_interest is None


@pytest.mark.backend_independent
def test_names_are_the_same_in_any_form_of_unicode(model, images, monkeypatch):
    composed, decomposed = "b\u00f6lt", "bo\u0308lt"
    names = property(lambda _: (composed, "nut", "washer"))
    monkeypatch.setattr(type(model.thresholds.known), "names", names)
    for own, name in ((composed, decomposed), (decomposed, composed)):
        expected = of_single_regions(model, images[:2], [LEFT] * 2)["anomaly_map"]
        model.region_of_interest = {own: LEFT}
        # Of one that is recognised, and of one that is given.
        for category in ({}, {"category": name}):
            given = [{"image": image, **category} for image in images[:2]]
            found = model.predict(given, verbose=0)["anomaly_map"]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        model.ignore({name: (0, 0, 1, 0.5)})
        (inside,) = model.region_of_interest.values()
        assert inside.sum() == IMAGE_SIZE * IMAGE_SIZE / 4
        assert model.forget_region_of(name)
        assert model.region_of_interest is None
