import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr import FeatureDecoder
from keras_rlr.detectors.feature_decoder import error_in_decibels

SHAPES = [(8, 8, 6), (4, 4, 10)]


def random_features(count=2, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(count, *s)).astype("float32") for s in SHAPES]


@pytest.fixture(scope="module")
def decoder():
    return FeatureDecoder(SHAPES, image_size=32, width=16, seed=0)


def test_pictures_have_the_images_size_and_range(decoder):
    pictures = decoder.decode(random_features(3))
    assert pictures.shape == (3, 32, 32, 3)
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0 and pictures.max() <= 255


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(16, 16, 5)], 256),
        ([(64, 64, 4), (32, 32, 4), (16, 16, 4)], 256),
        ([(32, 32, 4), (16, 16, 4)], 256),
        ([(8, 8, 4)], 8),
        ([(3, 3, 4)], 96),
        ([(12, 12, 8), (4, 4, 8)], 48),
    ],
)
def test_any_levels(shapes, size):
    decoder = FeatureDecoder(shapes, size, width=8, seed=0)
    assert decoder.output_shape == (None, size, size, 3)


@pytest.mark.backend_independent
def test_every_level_matters(decoder):
    features = random_features()
    first = decoder.decode(features)
    for level in range(2):
        changed = [part.copy() for part in features]
        changed[level][:, 1, 1] += 3
        assert np.abs(decoder.decode(changed) - first).max() > 0.1


def test_learns_to_draw(decoder):
    keras.utils.set_random_seed(0)
    decoder = FeatureDecoder(SHAPES, image_size=32, width=16, seed=0)
    features = random_features(8)
    images = np.random.default_rng(1).integers(0, 256, (8, 1, 1, 3)).astype("float32")
    images = np.broadcast_to(images, (8, 32, 32, 3))
    losses = decoder.fit(features, images, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 7


def test_the_loss_is_the_mean_of_the_decibels():
    generator = np.random.default_rng(0)
    images, pictures = (generator.uniform(0, 255, (3, 4, 4, 3)) for _ in range(2))
    pictures[1] = images[1] + generator.normal(0, 2, (4, 4, 3))
    found = error_in_decibels(images.astype("float32"), pictures.astype("float32"))
    squares = np.mean((images - pictures) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(found), 10 * np.log10(squares + 1 / 12), rtol=1e-5
    )


def test_the_seed_decides(decoder):
    features = random_features()
    same = FeatureDecoder(SHAPES, image_size=32, width=16, seed=0)
    other = FeatureDecoder(SHAPES, image_size=32, width=16, seed=1)
    np.testing.assert_array_equal(same.decode(features), decoder.decode(features))
    assert np.abs(other.decode(features) - decoder.decode(features)).max() > 1


def test_saves_and_loads(decoder, tmp_path):
    decoder.save(tmp_path / "decoder.keras")
    again = keras.saving.load_model(tmp_path / "decoder.keras")
    features = random_features()
    np.testing.assert_array_equal(again.decode(features), decoder.decode(features))
    assert again.get_config() == decoder.get_config()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("shapes", "size", "message"),
    [
        ([], 32, "the shape of at least one level"),
        ([(8, 8, 4)], 60, "a grid of 8x8 and images of 60"),
        ([(8, 4, 4)], 32, "a grid of 8x4"),
        ([(40, 40, 8), (15, 15, 8)], 120, r"divide the finest's. .* sides \[40, 15\]"),
        ([(10, 10, 8), (4, 4, 8)], 20, r"sides \[10, 4\]"),
    ],
)
def test_refuses(shapes, size, message):
    with pytest.raises(ValueError, match=message):
        FeatureDecoder(shapes, size)


def test_features_of_another_model_are_refused(decoder):
    with pytest.raises(ValueError, match=r"made for features of the shapes \[\(8, 8"):
        decoder.decode(random_features()[::-1])


@pytest.mark.backend_independent
def test_is_public():
    assert "FeatureDecoder" in keras_rlr.__all__


@pytest.mark.backend_independent
def test_a_frozen_decoder_is_frozen_when_it_is_made_anew():
    frozen = FeatureDecoder(SHAPES, image_size=32, width=4, trainable=False)
    assert FeatureDecoder.from_config(frozen.get_config()).trainable_weights == []
