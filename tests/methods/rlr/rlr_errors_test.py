"""Bad input: what is handled, and what is refused in words that help."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rlr
from tests.tiny_model import ONE_LEVEL, random_images, tiny_backbone, tiny_model

IMAGES = random_images(4)


@pytest.fixture(scope="module")
def model():
    """Shared: nothing here trains it."""
    return tiny_model()


def scores(model, images):
    return model.predict(images, verbose=0)["anomaly_score"]


@pytest.mark.backend_independent
def test_grey_rgba_and_16_bit_images_are_handled(model):
    grey = IMAGES[..., :1]
    rgb = scores(model, np.repeat(grey, 3, -1))
    np.testing.assert_allclose(scores(model, grey), rgb, rtol=1e-6)
    np.testing.assert_allclose(scores(model, list(grey[..., 0])), rgb, rtol=1e-6)
    alpha = np.full((4, 32, 32, 1), 7, "uint8")
    plain = scores(model, IMAGES)
    np.testing.assert_allclose(
        scores(model, np.concatenate([IMAGES, alpha], -1)), plain, rtol=1e-6
    )
    np.testing.assert_allclose(
        scores(model, IMAGES.astype("uint16") * 257), plain, rtol=1e-6
    )


def with_nan():
    images = IMAGES.astype("float32")
    images[2, 5, 5, 0] = np.nan
    return images


def mixed_ranks():
    return [IMAGES[0], IMAGES[1][..., 0]]


BAD_DATA = {
    "NaN": (with_nan, "NaN or infinite.*look at how they were decoded"),
    "0-1": (lambda: IMAGES / 255.0, r"scaled to 0-1.*images \* 255"),
    "empty array": (lambda: IMAGES[:0], "has no images.*path or filter"),
    "empty tf.data": (
        lambda: tf.data.Dataset.from_tensor_slices(IMAGES[:0]).batch(2),
        "has no images.*path or filter",
    ),
    "no common rank": (mixed_ranks, "must have one rank"),
    "no common rank in a stream": (
        lambda: tf.data.Dataset.from_generator(mixed_ranks, output_types="uint8"),
        "must have one rank",
    ),
    "five channels": (
        lambda: np.zeros((2, 32, 32, 5), "uint8"),
        "1, 2, 3 or 4 channels",
    ),
    "channels first": (lambda: np.zeros((2, 3, 32, 32), "uint8"), "channels.*last"),
    "one image": (lambda: IMAGES[0], r"looks like a single image.*images\[None\]"),
    "a path": (lambda: "images/", "Data of type str can't be read"),
    "dicts without image": (lambda: {"picture": IMAGES}, "key 'image'.*picture"),
    "text": (lambda: np.full((2, 32, 32, 3), "a"), "uint8, uint16 or float"),
}


@pytest.mark.backend_independent
@pytest.mark.parametrize("kind", BAD_DATA)
@pytest.mark.parametrize("method", ["fit", "predict"])
def test_bad_data_is_refused(model, method, kind):
    make, message = BAD_DATA[kind]
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(make(), verbose=0)
    for weight in model.weights:  # none is lost
        assert (
            weight.path.endswith("/threshold")
            or np.isfinite(keras.ops.convert_to_numpy(weight)).all()
        )


class FailsLate(list):
    def __getitem__(self, index):
        if index == 6:
            raise ValueError("damaged file")
        return super().__getitem__(index)


@pytest.mark.parametrize(
    "method", [pytest.param("predict", marks=pytest.mark.backend_independent), "fit"]
)
def test_data_that_fails_late_leaves_a_model_that_works(method):
    model = tiny_model(**ONE_LEVEL)
    before = scores(model, IMAGES)
    options = {"shuffle": False} if method == "fit" else {}
    with pytest.raises(ValueError, match="damaged file"):
        data = FailsLate(random_images(8))
        getattr(model, method)(data, batch_size=2, verbose=0, **options)
    after = scores(model, IMAGES)
    if method == "predict":
        np.testing.assert_array_equal(after, before)
    else:  # three steps were taken
        assert np.all(np.isfinite(after)) and np.all(after != before)


class Interrupt(keras.callbacks.Callback):
    def on_predict_batch_end(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_predict_leaves_a_model_that_works(model):
    before = scores(model, IMAGES)
    with pytest.raises(KeyboardInterrupt):
        model.predict(IMAGES, batch_size=1, verbose=0, callbacks=[Interrupt()])
    np.testing.assert_array_equal(scores(model, IMAGES), before)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "extra",
    [
        {"label": np.array([0, 0, 1, 0])},
        {"mask": np.eye(4)[2][:, None, None] * np.ones((4, 8, 8))},
    ],
)
def test_anomalous_training_images_are_refused(model, extra):
    with pytest.raises(ValueError, match="anomalous.*normal images only"):
        model.fit({"image": IMAGES, **extra}, epochs=1, verbose=0, shuffle=False)


BAD_SETTINGS = {
    "unknown backbone": (
        {"backbone": "efficientnet_b9"},
        "Unknown backbone.*Did you mean",
    ),
    "missing level": ({"levels": (1, 4)}, "has no level 4; it has the levels"),
    "even window": ({"windows": (3, 4)}, "odd.*use 3 or 5"),
    "window hides grid": (
        {"windows": (9, 3)},
        "hides the whole 8x8 grid.*image_size=40",
    ),
    "image size": ({"image_size": 36}, "not a positive multiple.*32 or 40"),
    "width": ({"hidden_dims": (16, 18)}, "divisible by 4"),
    "one width for two levels": (
        {"hidden_dims": (16,)},
        "one value for each of the levels",
    ),
    "attentions": ({"attentions": ("mlka", "mlka")}, "each once"),
    "recipe": ({"recipe": "fast"}, "Expected 'default' or 'paper'"),
    "damping": ({"cosine_damping": -1.0}, "at least 0"),
    "noise": ({"noise_scale": -1.0}, "at least 0"),
    "seed": ({"seed": -1}, "integer of at least 0"),
    "distribution": ({"distribution": 0}, "at least 1"),
    "no levels": ({"levels": ()}, "one or more integers"),
}


@pytest.mark.backend_independent
@pytest.mark.parametrize("kind", BAD_SETTINGS)
def test_bad_settings_are_refused(kind):
    settings, message = BAD_SETTINGS[kind]
    with pytest.raises(ValueError, match=message):
        tiny_model(**settings)


@pytest.mark.backend_independent
def test_the_smallest_image_size_that_the_message_names_works():
    with pytest.raises(
        ValueError, match=r"4x4 grid of a 64-pixel image.*image_size=96"
    ):
        keras_rlr.RLR("efficientnet_lite2", None, levels=(3,), image_size=64)
    keras_rlr.RLR("efficientnet_lite2", None, levels=(3,), image_size=96)


@pytest.mark.backend_independent
def test_lca_has_no_smallest_image_size():
    model = tiny_model(windows=(9, 9), attentions=("lca",))
    assert np.isfinite(scores(model, IMAGES)).all()


@pytest.mark.backend_independent
def test_a_backbone_must_return_a_list():
    image = keras.Input((None, None, 3))
    single = keras.Model(image, keras.layers.Conv2D(4, 3, strides=4)(image))
    with pytest.raises(ValueError, match="returns a single tensor.*list"):
        tiny_model(backbone=single, levels=(1,), hidden_dims=(16,), windows=(3,))


@pytest.mark.backend_independent
def test_unknown_presets_and_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'rlr_efficientnet_b6'"):
        keras_rlr.RLR.from_preset("rlr_efficientnet_b66")
    with pytest.raises(FileNotFoundError, match="no model file"):
        keras_rlr.RLR.from_preset(tmp_path / "none.keras")
    with pytest.raises(FileNotFoundError, match=r"has no model\.keras"):
        keras_rlr.RLR.from_preset(tmp_path)
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match="damaged or cut short"):
        keras_rlr.RLR.from_preset(tmp_path / "broken.keras")
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="holds a Sequential, not a detector"):
        keras_rlr.RLR.from_preset(tmp_path / "other.keras")


@pytest.mark.backend_independent
def test_a_saved_model_keeps_its_settings(tmp_path):
    tiny_model(backbone=tiny_backbone()).save(tmp_path / "model.keras")
    loaded = keras_rlr.RLR.from_preset(tmp_path)
    assert loaded.levels == (1, 2)
    with pytest.raises(ValueError, match="alpha can't be changed"):
        keras_rlr.RLR.from_preset(tmp_path, alpha=1.0)


@pytest.mark.backend_independent
def test_reconstruct_says_which_shapes_it_takes(model):
    with pytest.raises(ValueError, match=r"one array .* a level.*\(8, 8, 8\)"):
        model.reconstruct([np.zeros((1, 8, 8, 8), "float32")])


@pytest.mark.backend_independent
def test_evaluate_warns_without_masks(model):
    data = {"image": IMAGES, "label": np.array([0, 1, 0, 1])}
    with pytest.warns(UserWarning, match="no masks, so the figures of pixels are NaN"):
        results = model.evaluate(data, verbose=0, return_dict=True)
    assert np.isnan(results["pixel_auroc"]) and 0 <= results["image_auroc"] <= 1
