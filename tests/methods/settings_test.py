"""What a user gives as a number is one, of every method, or is refused by its name."""

import math

import numpy as np
import pytest

import keras_rlr
from tests.tiny_model import (
    IMAGE_SIZE,
    random_images,
    tiny_backbone,
    tiny_model,
    tiny_simplenet,
    tiny_uniad,
)

pytestmark = pytest.mark.backend_independent


def of_two_levels(method):
    def make(**settings):
        options = {"levels": (1, 2), "image_size": IMAGE_SIZE, "seed": 0, **settings}
        return method(tiny_backbone(), **options)

    return make


def draem(**settings):
    widths = {"reconstruction_width": 2, "segmentation_width": 2}
    return keras_rlr.DRAEM(image_size=IMAGE_SIZE, **{**widths, **settings})


PATCH_CORE, PADIM, MKD = map(
    of_two_levels, (keras_rlr.PatchCore, keras_rlr.PaDiM, keras_rlr.MKD)
)
# Of another kind than the default, or out of range.
TAKES = r"(of \w+ takes|must be)"
WHOLE = [
    (PATCH_CORE, "max_patches"),
    (PATCH_CORE, "reweighted_neighbors"),
    (PADIM, "num_channels"),
    (tiny_uniad, "hidden_dim"),
    (tiny_uniad, "num_heads"),
    (tiny_uniad, "num_encoder_layers"),
    (tiny_uniad, "num_decoder_layers"),
    (tiny_uniad, "ffn_dim"),
    (tiny_simplenet, "hidden_dim"),
    (draem, "reconstruction_width"),
    (draem, "segmentation_width"),
    (MKD, "student_width"),
    (tiny_model, "max_patches"),
]
FINITE = [
    (PATCH_CORE, "coreset_ratio"),
    (PATCH_CORE, "smoothing"),
    (PADIM, "smoothing"),
    (tiny_uniad, "noise_scale"),
    (tiny_simplenet, "noise_std"),
    (tiny_simplenet, "margin"),
    (draem, "opacity"),
    (MKD, "cosine_weight"),
    (MKD, "sigma"),
    (tiny_model, "noise_scale"),
    (tiny_model, "alpha"),
    (tiny_model, "coreset_ratio"),
    (tiny_model, "cosine_damping"),
]


@pytest.mark.parametrize(("make", "name"), WHOLE)
def test_a_fraction_a_word_or_a_huge_number_is_no_whole_number(make, name):
    for value in (2.5, -1, "2", "many", None, True, [2], math.nan, math.inf, 1e30):
        with pytest.raises(ValueError, match=rf"`{name}` {TAKES} a whole number"):
            make(**{name: value})


@pytest.mark.parametrize(("make", "name"), FINITE)
def test_a_word_or_infinity_is_no_finite_number(make, name):
    for value in ("2", "many", None, True, [2], math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"`{name}` {TAKES}"):
            make(**{name: value})
    if name != "alpha":
        with pytest.raises(ValueError, match=rf"`{name}` {TAKES}"):
            make(**{name: -1})


@pytest.mark.parametrize("name", ["hidden_dim", "noise_std", "margin"])
def test_what_must_be_above_nothing_is_not_nothing(name):
    with pytest.raises(ValueError, match=rf"`{name}` {TAKES}"):
        tiny_simplenet(**{name: 0})


def test_what_is_whole_may_be_written_in_any_way():
    for value in (4, 4.0, np.int32(4), np.float64(4)):
        assert PADIM(num_channels=value).get_config()["num_channels"] == 4
    assert PATCH_CORE(max_patches=1e5).max_patches == 100_000
    for value in (1, np.float32(1)):
        assert tiny_simplenet(margin=value).margin == 1.0


@pytest.mark.parametrize("value", [5, None, [["flip"]], {"flip": True}])
def test_what_is_no_list_of_names_is_no_augmentation(value):
    with pytest.raises(
        ValueError, match="`augmentation` (of PatchCore takes a list|takes any of)"
    ):
        PATCH_CORE(augmentation=value)


@pytest.mark.parametrize("value", [(0.5,), ("a", "b"), (0.9, 0.1), (0, math.nan)])
def test_an_opacity_is_two_numbers(value):
    with pytest.raises(ValueError, match=rf"`opacity` {TAKES}"):
        draem(opacity=value)


def test_one_neighbour_would_weigh_every_score_to_nothing():
    with pytest.raises(ValueError, match="make every score 0. Use 0"):
        PATCH_CORE(reweighted_neighbors=1)


def test_a_bank_of_one_patch_has_nothing_to_weigh_by():
    images, tested = random_images(1), random_images(3, seed=2)
    scores = []
    for neighbours in (0, 3):
        settings = {"coreset_ratio": 0.001, "reweighted_neighbors": neighbours}
        model = PATCH_CORE(**settings)
        model.fit(images, verbose=0)
        assert model.bank_size == 1
        scores.append(model.predict(tested, verbose=0)["anomaly_score"])
    assert scores[0].min() > 0.1
    np.testing.assert_array_equal(*scores)
