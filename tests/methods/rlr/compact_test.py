"""A compact model gives what the whole one does, from fewer computations."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_rlr
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, random_images, tiny_model

IMAGES = random_images(6)


@pytest.fixture(scope="module", params=["MLKA and LCA", "cross and self"])
def model(request):
    attentions = (
        ("mlka", "lca") if request.param == "MLKA and LCA" else ("cross", "self")
    )
    options = {"attentions": attentions, "num_blocks": 2, **ONE_LEVEL}
    if "cross" in attentions:
        options.update(reference_tokens=2, reference_start="samples")
    model = tiny_model(standardize_features=True, **options)
    model.adapt(IMAGES)
    # As after a training, so that biases are no zeros.
    generator = np.random.default_rng(0)
    for weight in model.trainable_weights:
        noise = generator.normal(0, 0.02, weight.shape).astype("float32")
        weight.assign(weight + noise)
    named = {"image": IMAGES, "category": ["a"] * 4 + ["b"] * 2}
    with pytest.warns(UserWarning, match="a threshold of its own"):
        model.calibrate(named, false_positive_rate=0.2)
    return model


def assert_same_outputs(first, second, **tolerance):
    wanted, found = (m.predict(IMAGES, verbose=0) for m in (first, second))
    assert list(wanted) == list(found) and "is_anomalous" in found
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, **tolerance)


def test_gives_the_same_without_the_reference(model):
    compact = model.compact()
    assert_same_outputs(model, compact, rtol=1e-5, atol=1e-6)
    assert compact.threshold == model.threshold
    assert compact.thresholds.by_category == model.thresholds.by_category
    features = model.extract_features(IMAGES)
    for wanted, found in zip(
        model.reconstruct(features), compact.reconstruct(features), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    paths = [variable.path for variable in compact.variables]
    assert any("reference" in variable.path for variable in model.variables)
    assert not any("reference" in path for path in paths)
    assert any("folded_key" in path for path in paths)
    assert compact.compact() is compact


def test_layers_of_one_name_in_a_nested_backbone_keep_their_weights():
    def convolution(seed):
        initializer = keras_rlr.layers.SeededNormal(0.2, seed)
        return keras.layers.Conv2D(8, 2, 2, kernel_initializer=initializer, name="conv")

    inner_inputs = keras.Input((None, None, 8))
    inner = keras.Model(inner_inputs, convolution(1)(inner_inputs), name="inner")
    inputs = keras.Input((None, None, 3))
    fine = inner(keras.layers.Conv2D(8, 2, 2, name="stem")(inputs))
    backbone = keras.Model(inputs, [fine, convolution(2)(fine)])
    model = tiny_model(backbone=backbone)
    paths = [variable.path for variable in model.feature_extractor.variables]
    assert paths.count("conv/kernel") == 2
    compact = model.compact()
    for variable, original in zip(
        compact.feature_extractor.variables,
        model.feature_extractor.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(variable, original)


def test_the_whole_model_is_as_it_was(model):
    before = [ops.convert_to_numpy(v).copy() for v in model.variables]
    compact = model.compact()
    for variable in compact.variables:
        variable.assign(np.zeros(variable.shape))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


@pytest.mark.backend_independent
def test_saves_and_loads(model, tmp_path):
    compact = model.compact()
    compact.save(tmp_path / "compact.keras")
    again = keras.saving.load_model(tmp_path / "compact.keras")
    assert again.is_compact
    assert_same_outputs(compact, again, rtol=0)


@pytest.mark.backend_independent
def test_refuses_to_be_trained(model):
    with pytest.raises(ValueError, match="A compact model is for inference"):
        model.compact().fit(IMAGES, epochs=1, verbose=0)


@pytest.mark.backend_independent
def test_in_mixed_precision():
    options = {"reference_tokens": 2, **ONE_LEVEL}
    model = tiny_model(dtype="mixed_bfloat16", **options)
    images = random_images(2, IMAGE_SIZE, IMAGE_SIZE)
    whole = model.predict(images, verbose=0)["anomaly_score"]
    compact = model.compact().predict(images, verbose=0)["anomaly_score"]
    np.testing.assert_allclose(compact, whole, rtol=0.02)
