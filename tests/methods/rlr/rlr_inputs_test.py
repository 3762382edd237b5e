"""What the model does with the data it is given: all of it is used, or refused."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import keras_rlr
from keras_rlr.detectors import feature_cache
from tests.tiny_model import fit_losses, random_images, tiny_model

pytestmark = pytest.mark.backend_independent

IMAGES = random_images(9, 40, 48)
LABELS = np.array([0, 1, 0, 0, 1, 0, 0, 1, 0])
TWELVE = IMAGES.astype("uint16") * 16
EIGHT = (TWELVE * (255 / 4095)).astype("float32")


@pytest.fixture(scope="module")
def model():
    """Shared: who trains it or sets something makes one of his own."""
    return tiny_model()


@pytest.fixture(scope="module")
def trainee():
    """Shared by those who train it, whatever it has learned before."""
    return tiny_model(standardize_features=True)


def scores(model, images, **options):
    return model.predict(images, verbose=0, **options)["anomaly_score"]


@pytest.fixture(scope="module")
def expected(model):
    return scores(model, IMAGES)


class Elements(torch.utils.data.Dataset):
    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return IMAGES[index]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_list_from_a_loader_is_a_batch(model, expected, size):
    """Nine images in lists of two or three gave five or three scores."""
    data = torch.utils.data.DataLoader(Elements(), batch_size=size, collate_fn=list)
    np.testing.assert_allclose(scores(model, data), expected, rtol=1e-4)


def figures(model, *data, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The data has no masks")
        return model.evaluate(*data, verbose=0, return_dict=True, **options)


def test_labels_are_used_however_they_come(model):
    wanted = figures(model, {"image": IMAGES, "label": LABELS})
    assert not np.isnan(wanted["image_auroc"])
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    for data in (
        (IMAGES, LABELS),
        (IMAGES, LABELS[:, None] * 5),
        ((IMAGES, LABELS),),
        (list(zip(IMAGES, LABELS, strict=True)),),
        (pairs,),
        (pairs.batch(4),),
    ):
        found = figures(model, *data)
        assert found["image_auroc"] == wanted["image_auroc"]
        assert found == pytest.approx(wanted, nan_ok=True, rel=1e-5)


def test_labels_that_cant_be_read_are_refused(model):
    for labels in (["good"] * 9, np.eye(9), np.full(9, 0.5)):
        with pytest.raises(ValueError, match="label of element 0 of the data can't be"):
            figures(model, IMAGES, labels)
        np.testing.assert_allclose(
            scores(model, (IMAGES, labels)), scores(model, IMAGES), rtol=1e-5
        )
    with pytest.raises(ValueError, match="9 images came with 8 values of 'label'"):
        figures(model, IMAGES, LABELS[:8])
    with pytest.raises(ValueError, match="The second part of a tuple is the label"):
        figures(model, IMAGES, IMAGES[::-1])


def test_labels_or_masks_that_are_missing_are_told(model):
    some = [{"image": image, "label": 0} for image in IMAGES]
    del some[3]["label"]
    with pytest.warns(
        UserWarning, match="1 of the 9 images have no label, so there is"
    ):
        assert list(model.evaluate(some, verbose=0, return_dict=True)) == ["loss"]
    masks = {"image": IMAGES, "mask": np.ones((9, 40, 48))}
    with pytest.warns(UserWarning, match="9 images have masks but no labels"):
        assert list(model.evaluate(masks, verbose=0, return_dict=True)) == ["loss"]


def pairs_of(labels):
    return {
        "tuples": lambda: list(zip(IMAGES, labels, strict=True)),
        "tuple": lambda: (IMAGES, labels),
        "tf.data": lambda: tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(
            4
        ),
        "loader": lambda: torch.utils.data.DataLoader(
            list(zip(IMAGES, labels.tolist(), strict=True)), batch_size=4
        ),
    }


@pytest.mark.parametrize("kind", pairs_of(LABELS))
def test_anomalous_images_in_tuples_are_not_learned_from(model, kind):
    data = pairs_of(LABELS)[kind]()
    message = r"Element \d of the data is anomalous"
    for call in (
        lambda: model.fit(data, epochs=1, verbose=0),
        lambda: model.fit(data, epochs=1, verbose=0, feature_cache="memory"),
        lambda: model.calibrate(data, 0.3),
        lambda: model.adapt(data),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_y_is_used_by_fit(model):
    with pytest.raises(ValueError, match="of the data is anomalous"):
        model.fit(IMAGES, LABELS, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="of the data is anomalous"):
        model.fit(IMAGES, LABELS, epochs=1, verbose=0, feature_cache="memory")
    with pytest.raises(ValueError, match="9 images came with 3 values"):
        model.fit(IMAGES, LABELS[:3], epochs=1, verbose=0)


@pytest.mark.filterwarnings("ignore:The data has no masks")
def test_validation_data_may_be_images_and_labels(trainee):
    history = trainee.fit(
        *(IMAGES, np.zeros(9)),
        batch_size=2,
        epochs=1,
        verbose=0,
        validation_data=(IMAGES, LABELS),
    ).history
    assert history["val_image_auroc"] == [
        figures(trainee, IMAGES, LABELS)["image_auroc"]
    ]


def endless():
    return tf.data.Dataset.from_tensor_slices(IMAGES).repeat().batch(2)


def test_endless_data_is_refused_at_once(model):
    for name in ("predict", "evaluate", "calibrate", "adapt"):
        with pytest.raises(ValueError, match=f"no end, and {name} would.*`steps="):
            getattr(model, name)(endless())
    with pytest.raises(ValueError, match="no end, and extract features would"):
        model.extract_features(endless())
    with pytest.raises(ValueError, match="no end, and an epoch.*`steps_per_epoch=`"):
        model.fit(endless(), epochs=1, verbose=0)
    with pytest.raises(ValueError, match="no end.*`validation_steps=`"):
        model.fit(IMAGES, epochs=1, verbose=0, validation_data=endless())


def test_steps_are_batches_of_endless_data(trainee):
    model = trainee
    model.adapt(endless(), steps=3)
    model.fit(
        endless(),
        epochs=1,
        steps_per_epoch=2,
        verbose=0,
        validation_data=endless(),
        validation_steps=1,
    )
    found = scores(model, endless(), steps=3)
    np.testing.assert_allclose(found, scores(model, IMAGES[:6]), rtol=1e-4)
    np.testing.assert_allclose(
        scores(model, IMAGES, steps=2, batch_size=2), found[:4], rtol=1e-4
    )
    threshold = model.calibrate(endless(), 0.3, steps=3)
    assert threshold == pytest.approx(model.calibrate(IMAGES[:6], 0.3), rel=1e-4)
    loss = model.evaluate(endless(), steps=2, verbose=0)[0]
    assert loss == pytest.approx(model.evaluate(IMAGES[:4], verbose=0)[0], rel=1e-4)


def test_bit_depth_is_used_everywhere(tmp_path, expected):
    model = tiny_model(bit_depth=12, standardize_features=True)
    other = tiny_model(standardize_features=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.adapt(TWELVE)
        other.adapt(EIGHT)
        wanted = scores(other, EIGHT)
        np.testing.assert_allclose(scores(model, TWELVE), wanted, rtol=1e-3)
        features = zip(
            model.extract_features(TWELVE), other.extract_features(EIGHT), strict=True
        )
        for found, feature in features:
            np.testing.assert_allclose(found, feature, rtol=1e-3, atol=1e-3)
        assert model.evaluate(TWELVE, verbose=0)[0] == pytest.approx(
            other.evaluate(EIGHT, verbose=0)[0], rel=1e-3
        )
        assert model.calibrate(TWELVE, 0.2) == pytest.approx(
            other.calibrate(EIGHT, 0.2), rel=1e-3
        )
        plain, cached = (
            fit_losses(each, images, epochs=2, feature_cache=cache)
            for each, images, cache in (
                (model, TWELVE, keras_rlr.FeatureCache("memory", dtype="float32")),
                (other, EIGHT, None),
            )
        )
    np.testing.assert_allclose(plain, cached, rtol=1e-3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.bit_depth == 12
    assert loaded.compact().bit_depth == 12
    np.testing.assert_allclose(scores(loaded, TWELVE), scores(model, TWELVE), rtol=1e-5)
    for call in (
        lambda: scores(model, TWELVE * 2),
        lambda: model.fit(TWELVE * 2, epochs=1, verbose=0),
        lambda: model.calibrate(TWELVE * 2, 0.3),
    ):
        with pytest.raises(ValueError, match=r"with the value \d+, and 12 bits end at"):
            call()


def test_bit_depth_can_be_set_and_is_no_matter_for_other_types(expected):
    model = tiny_model()
    assert model.bit_depth is None
    model.bit_depth = 12
    np.testing.assert_allclose(scores(model, IMAGES), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="from 9 to 16"):
        model.bit_depth = 8
    with pytest.raises(ValueError, match="from 9 to 16"):
        tiny_model(bit_depth=17)


def test_a_cache_holds_features_of_one_bit_depth():
    model = tiny_model()
    fingerprints = {}
    for bits in (None, 16, 12, 10):
        model.bit_depth = bits
        fingerprints[bits] = feature_cache._fingerprint(model)
    assert fingerprints[None] == fingerprints[16]
    assert len(set(fingerprints.values())) == 3


def test_a_model_of_before_has_no_bit_depth():
    config = tiny_model().get_config()
    del config["bit_depth"], config["trained_categories"]
    assert keras_rlr.RLR.from_config(config).bit_depth is None


def test_every_method_looks_at_every_image(model, tmp_path):
    images = list(IMAGES.astype("float32"))
    images[7] = images[7] / 255
    for call in (
        lambda: model.predict(images, batch_size=2, verbose=0),
        lambda: model.evaluate(images, batch_size=2, verbose=0),
        lambda: model.calibrate(images, 0.3, batch_size=2),
        lambda: model.adapt(images, batch_size=2),
        lambda: model.extract_features(images),
        lambda: model.fit(images, epochs=1, batch_size=2, verbose=0, shuffle=False),
        lambda: model.fit(images, epochs=1, verbose=0, feature_cache="memory"),
        lambda: model.export(tmp_path / "1", images=images[5:]),
    ):
        with pytest.raises(ValueError, match="seems to be scaled to 0-1"):
            call()


def test_12_bits_are_warned_of_once_a_pass(model, trainee):
    trainee.adapt(IMAGES)
    for call in (
        lambda: model.predict(TWELVE, batch_size=2, verbose=0),
        lambda: model.evaluate(TWELVE, batch_size=1, verbose=0),
        lambda: trainee.fit(TWELVE, epochs=2, batch_size=2, verbose=0),
        lambda: trainee.fit(TWELVE, epochs=1, verbose=0, feature_cache="memory"),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        words = [str(warning.message) for warning in caught]
        assert len([text for text in words if "bit_depth=12" in text]) == 1, words


@pytest.mark.parametrize("cache", [None, "memory"])
def test_a_model_knows_the_categories_it_was_trained_on(trainee, tmp_path, cache):
    model = trainee
    model.trained_categories = ()
    names = ["b", "a"] * 4 + ["b"]
    data = {"image": IMAGES, "category": np.array(names)}
    model.fit(data, batch_size=2, epochs=1, verbose=0, feature_cache=cache)
    assert model.trained_categories == ("a", "b")
    model.save(tmp_path / "model.keras")
    assert keras_rlr.RLR.from_preset(tmp_path).trained_categories == ("a", "b")
