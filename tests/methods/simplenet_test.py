"""SimpleNet against a twin in PyTorch, and what is its own."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import keras_rlr
from keras_rlr.layers.initializers import derive_seed
from tests import one_program
from tests.fresh_process import TWO_DEVICES, run_fresh
from tests.golden_weights import assert_close
from tests.layers.counter_hash import naive_normal
from tests.tiny_model import IMAGE_SIZE, fit_losses, random_images, tiny_simplenet

IMAGES = random_images(4)
KEYS = np.array([[0, 3], [0, 4], [1, 3], [7, 7]], "int32")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def twin(torch, model):
    """Adaptor and discriminator with the weights of a model."""

    def linear(dense):
        layer = torch.nn.Linear(*dense.kernel.shape, bias=dense.use_bias)
        layer.weight.data = tensor(torch, dense.kernel).T
        if dense.use_bias:
            layer.bias.data = tensor(torch, dense.bias)
        return layer

    discriminator = model.discriminator
    norm = torch.nn.BatchNorm1d(discriminator.hidden_dim)
    norm.weight.data = tensor(torch, discriminator.norm.gamma)
    norm.bias.data = tensor(torch, discriminator.norm.beta)
    norm.running_mean = tensor(torch, discriminator.norm.moving_mean)
    norm.running_var = tensor(torch, discriminator.norm.moving_variance)
    return linear(model.adaptor), torch.nn.Sequential(
        linear(discriminator.hidden),
        norm,
        torch.nn.LeakyReLU(0.2),
        linear(discriminator.output_projection),
    )


def tensor(torch, values):
    return torch.tensor(np.array(ops.convert_to_numpy(values)))


def tokens_of(torch, model):
    """Features of both levels in the finest grid, (images, 8, 8, 20)."""
    fine, coarse = (
        torch.from_numpy(level).permute(0, 3, 1, 2)
        for level in model.extract_features(IMAGES)
    )
    coarse = torch.nn.functional.interpolate(coarse, size=(8, 8), mode="bilinear")
    return torch.cat([fine, coarse], 1).permute(0, 2, 3, 1)


@pytest.fixture(scope="module")
def model():
    """Trained for a step, so that little is at its initial value."""
    model = tiny_simplenet()
    model.fit(IMAGES, batch_size=4, epochs=1, verbose=0)
    return model


def test_maps_and_scores_equal_the_twins(torch, model):
    adaptor, discriminator = twin(torch, model)
    discriminator.eval()
    with torch.no_grad():
        tokens = adaptor(tokens_of(torch, model).reshape(-1, 20))
        anomaly = -discriminator(tokens).reshape(4, 1, 8, 8)
        expected = torch.nn.functional.interpolate(
            anomaly, size=(IMAGE_SIZE,) * 2, mode="bilinear", align_corners=True
        )
    outputs = model.predict(IMAGES, verbose=0)
    assert_close(outputs["anomaly_map"], expected[:, 0].numpy(), 1e-4)
    score = keras_rlr.layers.AnomalyScore()(outputs["anomaly_map"])
    assert_close(outputs["anomaly_score"], ops.convert_to_numpy(score), 1e-4)


def test_the_loss_equals_the_twins(torch, model):
    """Normalized by the moments of normal and noisy tokens together."""
    adaptor, discriminator = twin(torch, model)
    tokens = tokens_of(torch, model)
    deviation = 0.3 * np.sqrt(
        np.mean(
            np.concatenate(
                [ops.convert_to_numpy(x.variance) for x in model.standardizations]
            )
        )
    )
    noise = naive_normal(KEYS, 8 * 8 * 20, derive_seed(model.seed, "noise"))
    noise = torch.tensor(noise.reshape(4, 8, 8, 20) * deviation, dtype=torch.float32)
    with torch.no_grad():
        adapted = adaptor(tokens)
        both = torch.cat([adapted, adapted + noise]).reshape(-1, 20)
        normal, noisy = discriminator(both).reshape(2, 4, -1)
    errors = (0.5 - normal).clip(min=0) + (0.5 + noisy).clip(min=0)
    batch = {"image": IMAGES, "noise_key": KEYS}
    outputs = one_program.call(model, batch, training=True)
    assert set(outputs) == {"loss"}
    assert_close(outputs["loss"], errors.mean(-1).numpy(), 1e-4)


def test_a_few_steps_lower_the_loss():
    model = tiny_simplenet(noise_std=0.5, standardize_features=True)
    model.compile(keras.optimizers.Adam(5e-3))
    losses = fit_losses(model, random_images(8), batch_size=4, epochs=10)
    assert losses[-1] < 0.8 * losses[0]


def test_padding_does_not_change_what_is_learned(model):
    """Images of weight 0 count in no moment."""

    def losses_and_weights(count, weight):
        model.set_weights(before)
        batch = {"image": IMAGES[:count], "noise_key": KEYS[:count], "weight": weight}
        outputs = one_program.call(model, batch, may_change=True, training=True)
        return ops.convert_to_numpy(outputs["loss"])[:3], *model.get_weights()

    before = model.get_weights()
    whole = losses_and_weights(3, np.ones(3, "float32"))
    padded = losses_and_weights(4, np.array([4, 4, 4, 0], "float32") / 3)
    model.set_weights(before)
    for expected, found in zip(whole, padded, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_an_evaluation_has_the_same_loss_each_time_and_changes_nothing(model):
    before = model.get_weights()
    first, second = (model.evaluate(IMAGES, verbose=0)[0] for _ in range(2))
    assert first == second > 0
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_statistics_it_does_not_infer():
    with pytest.raises(ValueError, match=r"Call fit\(train_ds\)"):
        tiny_simplenet().predict(IMAGES, verbose=0)


def test_recipes():
    paper = tiny_simplenet(recipe="paper", standardize_features=True)
    assert (paper.recipe.epochs, paper.recipe.batch_size) == (160, 4)
    assert isinstance(paper.optimizer, keras.optimizers.AdamW)
    assert paper.optimizer.weight_decay == 1e-5
    assert tiny_simplenet().recipe == paper.recipe
    with pytest.raises(ValueError, match=r"'quick'.*\(AdamW 0.0002, batches of 4, 160"):
        tiny_simplenet(recipe="quick")


SCRIPT = """
import json, sys
if sys.argv[1] == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
from tests.tiny_model import fit_losses, random_images, tiny_simplenet

images = random_images(7)
for devices in (1, 2):
    model = tiny_simplenet(standardize_features=True, distribution=devices)
    losses = fit_losses(model, images, epochs=2, batch_size=4)
    results = [*losses, *model.predict_on_batch(images)["anomaly_score"].tolist()]
    print(json.dumps(results))
"""


def test_two_devices_give_what_one_gives():
    """Their moments are of all devices, and of the three images of the last batch."""
    if keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match="Use TensorFlow or JAX"):
            tiny_simplenet(distribution=2)
        return
    result = run_fresh(SCRIPT, keras.backend.backend(), environment=TWO_DEVICES)
    assert result.returncode == 0, result.stderr[-3000:]
    one, two = map(json.loads, result.stdout.splitlines()[-2:])
    np.testing.assert_allclose(two, one, rtol=1e-4)
