"""Models, batches and what to ask of the device, for `benchmarks/gpu.py`."""

import contextlib
import dataclasses
import gc

import keras
import numpy as np

import keras_rlr
from keras_rlr.backbones import create_backbone
from keras_rlr.inputs.cached_batches import feature_name
from keras_rlr.inputs.training_batches import noise_keys

# Of the tiny model that a test runs on a CPU in seconds.
_SMALL = {"windows": (3,), "hidden_dims": (16,), "num_heads": 4, "num_blocks": 1}
_SMALL_SIDE = 64


class Models:
    """Models of one precision that share a backbone; one is kept at a time.

    "all" is the paper's, "1", "2" and "3" have one of its levels, and "fused" is the
    preset of the default recipe, without the bank and the maps beside it, which take
    no part in a step.

    Args:
        dtype: Keras' dtype policy.
        small: Whether they are tiny.
        weights: File of the backbone's weights, by `save_backbone`; where there is
            none, they are drawn.
    """

    def __init__(self, dtype, small, weights=None):
        self.dtype = dtype
        self.small = small
        self.side = _SMALL_SIDE if small else 256
        self._name = self._model = None
        has_weights = weights is not None and weights.is_file()
        with _nothing_drawn() if has_weights else contextlib.nullcontext():
            self.backbone = create_backbone(
                _small_backbone(dtype) if small else "efficientnet_b6",
                levels=(1, 2, 3),
                image_size=self.side,
                weights=None,
                dtype=dtype,
            )
        if has_weights:
            with np.load(weights) as arrays:
                self.backbone.model.set_weights(list(arrays.values()))

    def normalize_backbone(self):
        """Has the backbone's batch normalisations do so, of random weights.

        Else features of random weights vanish from layer to layer, which trained ones
        don't, and numbers of 16 bits would be tried where they are not used.
        """
        layers = [
            layer
            for layer in self.backbone.model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        momentum = [layer.momentum for layer in layers]
        images = random_images(4, self.side).astype("float32")
        images = (images - self.backbone.mean) / self.backbone.std
        self.backbone.model.trainable = True
        for layer in layers:
            layer.momentum = 0.0
        self.backbone.model(images.astype("float32"), training=True)
        for layer, value in zip(layers, momentum, strict=True):
            layer.momentum = value
        self.backbone.model.trainable = False

    def save_backbone(self, file):
        """Writes the backbone's weights."""
        np.savez(file, *self.backbone.model.get_weights())

    def get(self, name):
        """Returns the model of a name, the same as before if it was asked for last."""
        if name != self._name:
            self.forget()
            self._model = self.make(name)
            self._name = name
        return self._model

    def make_room(self, name):
        """Lets go of a model that is not the one of a name."""
        if name != self._name:
            self.forget()

    def forget(self):
        """Lets go of the model, and of what it had on the device."""
        if self._model is None:
            return
        self._name = self._model = None
        gc.collect()
        if keras.backend.backend() == "torch":
            import torch

            torch.cuda.empty_cache()

    def make(self, name, **options):
        """Returns a new model of a name.

        Args:
            name: See the class.
            **options: Other arguments of `RLR`.
        """
        settings = {"seed": 0, "dtype": self.dtype, **options}
        levels = (int(name),) if name.isdigit() else (1, 2, 3)
        settings["backbone"] = self._of_levels(levels)
        settings["levels"] = levels
        settings["image_size"] = self.side
        if name == "fused":
            beside = {"coreset_ratio": 0.0, "similar_images": 0}
            tiny = _SMALL if self.small else {}
            return keras_rlr.RLR.from_preset(
                "rlr_efficientnet_b6_fused", **settings, **beside, **tiny
            )
        if self.small:
            each = {
                key: _SMALL[key] * len(levels) for key in ("windows", "hidden_dims")
            }
            settings.update({**_SMALL, **each})
        return keras_rlr.RLR(**settings)

    def _of_levels(self, levels):
        if levels == self.backbone.levels:
            return self.backbone
        outputs = [self.backbone.model.outputs[level - 1] for level in levels]
        part = keras.Model(self.backbone.model.inputs, outputs)
        part.trainable = False
        return dataclasses.replace(self.backbone, model=part, levels=levels)


@contextlib.contextmanager
def _nothing_drawn():
    """Kernels of new layers are 0: JAX draws 40 million numbers for half a minute."""
    drawn = keras.initializers.VarianceScaling.__call__

    def zeros(self, shape, dtype=None, **kwargs):
        return keras.ops.zeros(shape, dtype or "float32")

    keras.initializers.VarianceScaling.__call__ = zeros
    try:
        yield
    finally:
        keras.initializers.VarianceScaling.__call__ = drawn


def _small_backbone(dtype):
    """Maps at strides 4, 8 and 16."""
    image = keras.Input((_SMALL_SIDE, _SMALL_SIDE, 3))
    maps = [keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype=dtype)(image)]
    for channels, stride in ((8, 4), (12, 2), (16, 2)):
        layer = keras.layers.Conv2D(
            channels, 5, strides=stride, padding="same", dtype=dtype
        )
        normalization = keras.layers.BatchNormalization(dtype=dtype)
        maps.append(normalization(layer(maps[-1])))
    return keras.Model(image, maps[1:], name="small")


def random_images(count, side):
    """uint8 images with structures of several sizes."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 64, (count, side, side, 3))
    for part in (16, 4):
        coarse = generator.integers(0, 96, (count, part, part, 3))
        images += coarse.repeat(side // part, 1).repeat(side // part, 2)
    return images.astype("uint8")


def image_batch(model, count, training=True):
    """A batch of images as `fit` makes it, or of `predict`, on the device."""
    images = random_images(count, model.image_size).astype("float32")
    return _on_device({"image": images, **(_for_training(count) if training else {})})


def feature_batch(model, count):
    """A batch as `fit` makes it from a feature cache, on the device."""
    generator = np.random.default_rng(0)
    features = {
        feature_name(level): generator.normal(size=(count, *shape)).astype("float16")
        for level, shape in enumerate(model.feature_shapes)
    }
    return _on_device({**features, **_for_training(count)})


def _for_training(count):
    return {
        "noise_key": noise_keys(0, 0, np.arange(count)),
        "weight": np.ones(count, "float32"),
    }


def _on_device(batch):
    if keras.backend.backend() == "tensorflow":
        return batch  # A dataset's batches are the host's.
    return {name: keras.ops.convert_to_tensor(rows) for name, rows in batch.items()}


def endless(batch):
    """The batch again and again, as Keras' `fit` and `predict` take it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.data.Dataset.from_tensors((batch,)).repeat()
    return _again(batch)


def _again(batch):
    while True:
        yield (batch,)


def wait(model):
    """Returns when the device has done all that it was told to."""
    if keras.backend.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
    elif keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready([variable.value for variable in model.variables])
    else:
        # What is computed later on one device is there later.
        keras.ops.convert_to_numpy(model.trainable_variables[0])


def on_gpu():
    """Whether the backend computes on a GPU."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.is_available()
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() not in ("cpu", "tpu")
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


class PeakMemory:
    """The most device memory that was in use since it was made.

    JAX can't begin anew: what came before counts too, and where that was more, it is
    all that is known.
    """

    def __init__(self):
        self._before = None
        if not on_gpu():
            return
        if keras.backend.backend() == "torch":
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.experimental.reset_memory_stats("GPU:0")
        else:
            self._before = self._of_jax()

    def figures(self):
        """Returns a dict: "peak_mib", and "peak_is_at_most" where it may be less."""
        if not on_gpu():
            return {}
        if keras.backend.backend() == "torch":
            import torch

            return {"peak_mib": torch.cuda.max_memory_allocated() / 2**20}
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            found = tf.config.experimental.get_memory_info("GPU:0")
            return {"peak_mib": found["peak"] / 2**20}
        peak = self._of_jax()
        if peak is None:
            return {}
        figures = {"peak_mib": peak / 2**20}
        if self._before is not None and peak <= self._before:
            figures["peak_is_at_most"] = True
        return figures

    @staticmethod
    def _of_jax():
        import jax

        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def is_out_of_memory(error):
    """Whether an exception of any backend says that the memory was too small."""
    text = f"{type(error).__name__}: {error}".lower()
    words = ("out of memory", "outofmemory", "resource_exhausted", "resourceexhausted")
    return isinstance(error, MemoryError) or any(word in text for word in words)
