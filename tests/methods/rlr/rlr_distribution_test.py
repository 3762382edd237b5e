"""Two devices give the losses of one, in a fresh process that has two."""

import json
import warnings

import keras
import numpy as np
import pytest

from keras_rlr.detectors.training_pass import announce_empty_places
from tests.fresh_process import TWO_DEVICES, run_fresh
from tests.tiny_model import tiny_model

SCRIPT = """
import json, sys
import numpy as np
backend, *ways = sys.argv[1:]
if backend == "jax":
    import jax
    jax.config.update("jax_platforms", "cpu")
if backend == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
import keras
import keras_rlr
from tests.tiny_model import ONE_LEVEL, fit_losses, random_images, tiny_model

images = random_images(7, 40, 40)
# What is drawn at random, from the images too, is what one device draws.
drawn = {"reference_tokens": 2, "reference_start": "samples", "augmentation": "rotate"}
options = {"standardize_features": True, **drawn, **ONE_LEVEL}


def run(model, whole):
    losses = fit_losses(model, images, epochs=3, batch_size=4)
    if not whole:
        return losses
    outputs = model.predict(images, batch_size=4, verbose=0)
    loss = model.evaluate(images, batch_size=4, verbose=0)[0]
    cache = keras_rlr.FeatureCache("memory", dtype="float32")
    cached = fit_losses(model, images, epochs=2, batch_size=4, feature_cache=cache)
    return [*losses, loss, *cached, *outputs["anomaly_score"].tolist()]


def scoped(scope):
    with scope:
        return tiny_model(**options)


def compiled(model):
    # An optimizer that was made outside of the model's devices.
    model.compile(model.recipe.optimizer())
    return model


def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def data_parallel():
    devices = keras.distribution.list_devices("cpu")
    return keras.distribution.DataParallel(devices=devices)


make = {
    "tensorflow one": lambda: tiny_model(**options),
    "tensorflow strategy": lambda: tiny_model(distribution=strategy(), **options),
    "tensorflow scope": lambda: scoped(strategy().scope()),
    "tensorflow number": lambda: compiled(tiny_model(distribution=2, **options)),
    "jax one": lambda: tiny_model(**options),
    "jax distribution": lambda: tiny_model(distribution=data_parallel(), **options),
    "jax number": lambda: compiled(tiny_model(distribution=2, **options)),
}
results = {}
for way in ways:
    if way == "set":
        model = tiny_model(**options)
        keras.distribution.set_distribution(data_parallel())
    else:
        model = make[f"{backend} {way}"]()
    # The others differ in how a model comes to its devices, and in nothing after.
    results[way] = run(model, whole=way in ways[:2])
    assert model.device_count == (1 if way == "one" else 2), model.device_count
print(json.dumps(results))
"""

WAYS = {
    "tensorflow": ("one", "strategy", "scope", "number"),
    # The last is for the whole process from then on.
    "jax": ("one", "distribution", "number", "set"),
}


def run_in_fresh_process(backend):
    result = run_fresh(SCRIPT, backend, *WAYS[backend], environment=TWO_DEVICES)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_two_devices_give_the_losses_of_one():
    """With a last batch of three images, which two devices can't share evenly."""
    backend = keras.backend.backend()
    if backend == "torch":
        with pytest.raises(ValueError, match="Use TensorFlow or JAX"):
            tiny_model(distribution=2)
        return
    results = run_in_fresh_process(backend)
    expected = results.pop("one")
    assert len(results) == 3
    assert len(next(iter(results.values()))) == len(expected)
    for way, found in results.items():
        np.testing.assert_allclose(
            found, expected[: len(found)], rtol=1e-4, err_msg=way
        )


def test_batches_that_devices_divide_badly_are_announced():
    with pytest.warns(UserWarning, match="5 images .* 2 devices .*: 1 place of 6"):
        announce_empty_places(5, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        announce_empty_places(6, 2)
        announce_empty_places(5, 1)


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"64 devices|Use TensorFlow or JAX"):
        tiny_model(distribution=64)
