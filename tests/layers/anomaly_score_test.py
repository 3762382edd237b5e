import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import gaussian_filter

from keras_rlr.layers import AnomalyScore
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer

pytestmark = pytest.mark.optimized


def random_maps(*shape):
    return np.random.default_rng(0).uniform(0, 3, shape).astype("float32")


def test_contract():
    check_layer(AnomalyScore(sigma=2.0), random_maps(2, 12, 9), compute_dtype="float32")


def test_equals_the_authors(golden):
    arrays = golden("scoring")
    layer = AnomalyScore(sigma=4.0)
    assert_close(layer.smooth(arrays["anomaly_map"]), arrays["smoothed_map"])
    assert_close(layer(arrays["anomaly_map"]), arrays["image_score"])


# A map smaller than the kernel's radius (16 for a sigma of 4) mirrors repeatedly.
@pytest.mark.parametrize("size", [(40, 25), (7, 3), (1, 1)])
@pytest.mark.parametrize("sigma", [0.0, 0.7, 4.0])
def test_equals_scipy(size, sigma):
    maps = random_maps(2, *size)
    expected = np.stack([gaussian_filter(m.astype("float64"), sigma) for m in maps])
    layer = AnomalyScore(sigma)
    assert_close(layer.smooth(maps), expected)
    assert_close(layer(maps), expected.max(axis=(1, 2)))


@pytest.mark.parametrize("sigma", [-1.0, float("nan")])
def test_a_negative_sigma_is_refused(sigma):
    with pytest.raises(ValueError, match="`sigma` must be a finite number"):
        AnomalyScore(sigma)


def test_of_a_map_with_nan_it_is_nan():
    maps = np.ones((3, 16, 16), "float32")
    maps[0] = np.nan
    maps[1, 3, 4] = np.nan
    for sigma in (0.0, 4.0):
        layer = AnomalyScore(sigma=sigma)
        model = keras.Sequential([keras.Input((16, 16)), layer])
        for scores in (layer(maps), model.predict(maps, verbose=0)):
            scores = ops.convert_to_numpy(scores)
            assert np.isnan(scores).tolist() == [True, True, False]


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 1.0])
def test_the_mean_of_the_top_is_numpys(share):
    maps = random_maps(3, 20, 15)
    count = max(1, round(share * 300))
    highest = np.sort(maps.reshape(3, -1))[:, ::-1][:, :count]
    layer = AnomalyScore(0.0, top_share=share)
    assert_close(layer(maps), highest.mean(axis=1))
    maps[1, 0, 0] = np.nan
    assert np.isnan(ops.convert_to_numpy(layer(maps))).tolist() == [False, True, False]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_top_that_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match="`top_share` must be a finite number"):
        AnomalyScore(top_share=share)
