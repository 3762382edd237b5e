import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import mahalanobis

import keras_rlr
from tests.layer_test_case import to_numpy
from tests.tiny_model import IMAGE_SIZE, bilinear, random_images, tiny_backbone

NORMAL = random_images(12) // 2 + random_images(12, seed=5) // 3
TESTED = random_images(2, seed=2)


def padim(**overrides):
    settings = {
        "backbone": tiny_backbone(),
        "levels": (1, 2),
        "image_size": IMAGE_SIZE,
        "num_channels": 6,
        "smoothing": 2.0,
        "seed": 0,
    }
    return keras_rlr.PaDiM(**{**settings, **overrides})


def tokens(model, images):
    """The drawn channels, the coarse level's repeated: (images, places, channels)."""
    fine, coarse = model.extract_features(images)
    coarse = coarse.repeat(2, axis=1).repeat(2, axis=2)
    both = np.concatenate([fine, coarse], axis=-1)[..., model.channels]
    return both.reshape(len(images), 64, -1)


@pytest.mark.parametrize("standardize", [False, True])
def test_is_scipys_mahalanobis_distance_of_numpys_covariance(standardize):
    model = padim(standardize_features=standardize)
    model.fit(NORMAL, batch_size=5, verbose=0)
    normal = tokens(model, NORMAL).astype("float64")
    outputs = model.predict(TESTED, verbose=0)
    for i, image in enumerate(tokens(model, TESTED)):
        distances = []
        for place in range(64):
            covariance = np.cov(normal[:, place], rowvar=False) + 0.01 * np.eye(6)
            mean = normal[:, place].mean(axis=0)
            inverse = np.linalg.inv(covariance)
            distances.append(mahalanobis(image[place], mean, inverse))
        grid = np.reshape(distances, (8, 8))
        expected = gaussian_filter(bilinear(grid), 2.0)
        np.testing.assert_allclose(outputs["anomaly_map"][i], expected, rtol=2e-3)
        np.testing.assert_allclose(
            outputs["anomaly_score"][i], expected.max(), rtol=2e-3
        )


def test_the_loss_is_the_root_mean_square_distance():
    model = padim()
    history = model.fit(NORMAL, verbose=0)
    features = [np.asarray(f) for f in model.extract_features(NORMAL)]
    distances = to_numpy(model.gaussians(model.tokens_of(features)))
    expected = np.sqrt(np.mean(np.square(distances)))
    np.testing.assert_allclose(history.history["loss"], [expected], rtol=1e-3)


def test_the_seed_draws_the_channels():
    draws = [padim(seed=seed).channels.tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == 6
    assert padim(num_channels=500).channels.tolist() == list(range(20))


def test_a_saved_model_draws_no_channels():
    drawn = padim(seed=0)
    config = drawn.get_config()
    # As where a seed means something else, in another version of NumPy.
    again = keras_rlr.PaDiM.from_config({**config, "seed": 1})
    np.testing.assert_array_equal(again.channels, drawn.channels)
    assert padim(seed=1).channels.tolist() != drawn.channels.tolist()


@pytest.mark.parametrize("channels", [[], [20], [1, 1], [0.5], "abc", 3, [-1], [None]])
def test_channels_that_there_are_not_are_refused(channels):
    with pytest.raises(ValueError, match="`channels`"):
        padim(channels=channels)


def test_too_few_images_are_said():
    with pytest.warns(UserWarning, match="1 images are too few for .* 6 channels"):
        model = padim()
        model.fit(NORMAL[:1], verbose=0)
    assert np.isfinite(model.predict(TESTED, verbose=0)["anomaly_score"]).all()


def test_it_is_refused_before_it_was_fitted():
    with pytest.raises(ValueError, match="seen no normal images yet"):
        padim().predict(TESTED, verbose=0)
    with pytest.raises(ValueError, match="num_channels"):
        padim(num_channels=0)
