import numpy as np
from sklearn.neighbors import NearestNeighbors

import keras_rlr
from keras_rlr.detectors import bank_rows
from keras_rlr.layers import FusedLevels
from tests.layer_test_case import to_numpy
from tests.tiny_model import IMAGE_SIZE, random_images, tiny_backbone


def test_patches_of_images_are_known_however_few_are_compared_at_once(monkeypatch):
    images = random_images(11)
    model = keras_rlr.PatchCore(
        backbone=tiny_backbone(),
        levels=(1, 2),
        image_size=IMAGE_SIZE,
        coreset_ratio=0.2,
        seed=0,
    )
    model.fit(images, verbose=0)
    tokens = to_numpy(FusedLevels()(model.extract_features(images[:9])))
    search = NearestNeighbors(n_neighbors=1).fit(tokens.reshape(-1, tokens.shape[-1]))
    expected = search.kneighbors(to_numpy(model.memory_bank.patches))[0][:, 0] < 1e-3
    assert 0 < expected.sum() < len(expected)
    for most in (1, 7 * len(expected), 2**24):
        monkeypatch.setattr(bank_rows, "_MOST_DISTANCES", most)
        found = bank_rows.rows_taken_from(model, images[:9])
        np.testing.assert_array_equal(found, expected)
