"""What `benchmarks/gpu.py` measures of one backend and precision, in its process."""

import contextlib
import math
import statistics
import time
from pathlib import Path

import keras
import numpy as np

import keras_rlr
from benchmarks import gpu_models
from benchmarks.gpu_models import Models, PeakMemory
from keras_rlr.detectors.feature_extractor import extract_by_image
from keras_rlr.environment import describe_environment

_WEIGHTS, _ARRAYS = "reference.weights.h5", "reference.npz"
_BACKBONE = "backbone.npz"
_MOST_STEPS = 500


def run(job, emit):
    """Measures the cells of a job, one after the other.

    Args:
        job: Dict: "role", "dtype", "small", "seconds" that a cell is timed for,
            "until" (time after which none begins), "folder" of the reference, and
            "cells", each with "name", "kind", "model" and "batch".
        emit: Function that is given a dict for each thing to tell: "environment",
            "begins" (a cell's name), and results with "cell" and "figures", or
            "reason" where it could not be measured.
    """
    environment = describe_environment()
    emit({"environment": {**environment, "dtype_policy": job["dtype"]}})
    if job["role"] == "reference":
        _write_reference(job)
        emit({"cell": "reference", "figures": {}})
        return
    began = time.perf_counter()
    cells = Cells(job)
    emit({"built": time.perf_counter() - began})
    for cell in job["cells"]:
        if time.time() > job["until"]:
            return
        emit({"begins": cell["name"]})
        cells.models.make_room(cell["model"])
        memory = PeakMemory()
        try:
            figures = getattr(cells, cell["kind"])(cell["model"], cell["batch"])
        except NotMeasured as reason:
            emit({"cell": cell["name"], "reason": str(reason)})
            continue
        # A cell must not take the others with it, whatever the backend raises.
        except Exception as error:
            emit({"cell": cell["name"], "reason": _in_a_line(error)})
            cells.models.forget()
            continue
        emit({"cell": cell["name"], "figures": {**figures, **memory.figures()}})


class NotMeasured(Exception):
    """Why a cell has no figures, in words."""


class Cells:
    """The kinds of cells: each method takes a model's name and a number of images.

    Args:
        job: See `run`.
    """

    def __init__(self, job):
        self.job = job
        self.folder = Path(job["folder"])
        weights = self.folder / _BACKBONE
        self.models = Models(job["dtype"], job["small"], weights)

    def agreement(self, name, count):
        """How far maps and scores are from those of the CPU in float32.

        With the products that the backend takes for float32, and with exact ones:
        GPUs round the factors to fewer bits unless they are told not to.
        """
        if not (self.folder / _ARRAYS).is_file():
            raise NotMeasured("there are no maps of the CPU to compare with")
        with np.load(self.folder / _ARRAYS) as arrays:
            reference = {key: arrays[key] for key in arrays.files}
        model = self.models.get(name)
        model.load_weights(self.folder / _WEIGHTS)
        batch = {"image": keras.ops.convert_to_tensor(reference["image"])}
        figures = {}
        for products in ("exact", "usual"):
            if products == "usual" and self.job["dtype"] != "float32":
                continue
            with _products(products):
                found = keras.Model.predict_on_batch(model, batch)
            for key in ("anomaly_map", "anomaly_score"):
                expected = reference[key]
                difference = np.abs(np.asarray(found[key]) - expected).max()
                share = float(difference / np.abs(expected).max())
                figures[f"{key}_{products}"] = share
        return figures

    def predict(self, name, count):
        """Images a second of maps and scores, on the host in the end."""
        model = self.models.get(name)
        batch = gpu_models.image_batch(model, count, training=False)

        def predict(steps):
            data = gpu_models.endless(batch)
            keras.Model.predict(model, data, steps=steps, verbose=0)

        return self._rate(model, predict, count)

    def train_images(self, name, count):
        """Images a second of train steps on images."""
        model = self.models.get(name)
        return self._train(model, gpu_models.image_batch(model, count), count)

    def train_features(self, name, count):
        """Images a second of train steps on kept features."""
        model = self.models.get(name)
        return self._train(model, gpu_models.feature_batch(model, count), count)

    def _train(self, model, batch, count, seconds=None):
        with model.scope():
            model.optimizer.build(model.trainable_variables)

        losses = []

        def train(steps):
            data = gpu_models.endless(batch)
            with model.scope():
                history = keras.Model.fit(
                    model, data, steps_per_epoch=steps, shuffle=False, verbose=0
                )
            losses.extend(history.history["loss"])

        figures = self._rate(model, train, count, seconds)
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"the losses are {losses}")
        return {**figures, "first_loss": losses[0], "last_loss": losses[-1]}

    def _rate(self, model, function, count, seconds=None):
        """The rate of a function of a number of steps, without its first calls.

        JAX compiles a step again where what it is given lies elsewhere: what a step
        returned may, and sums that begin anew may. So two calls come first, of one
        step and of two.
        """
        seconds = self.job["seconds"] if seconds is None else seconds

        def timed(steps):
            began = time.perf_counter()
            function(steps)
            gpu_models.wait(model)
            return time.perf_counter() - began

        first = timed(1) + timed(2)
        steps = max(2, min(_MOST_STEPS, math.ceil(2 * seconds / timed(2))))
        each = timed(steps) / steps
        return {
            "images_per_second": count / each,
            "milliseconds_a_step": 1000 * each,
            # Tracing, compiling and choosing kernels.
            "compiling_seconds": max(0.0, first - 3 * each),
            "steps": steps,
        }

    def extract(self, name, count):
        """Images a second of filling a feature cache, as `fit` does: one by one."""
        model = self.models.get(name)
        extract = extract_by_image(model)
        images = gpu_models.random_images(count, model.image_size).astype("float32")

        def extracted(steps):
            for step in range(steps):
                extract(images[step % count][None])

        return self._rate(model, extracted, 1)

    def fit_features(self, name, batch):
        """Images a second of `fit(feature_cache="memory")`, epochs after the first."""
        return self._fit(name, batch, keras_rlr.FeatureCache("memory"))

    def fit_images(self, name, batch):
        """Images a second of `fit` on images in memory, epochs after the first."""
        return self._fit(name, batch, None)

    def _fit(self, name, batch, cache):
        model = self.models.get(name)
        steps = 2 if self.job["small"] else 16
        images = gpu_models.random_images(steps * batch, model.image_size)
        epochs = _Epochs()
        model.fit(
            images,
            epochs=4,
            batch_size=batch,
            feature_cache=cache,
            callbacks=[epochs],
            verbose=0,
        )
        each = statistics.median(epochs.seconds[1:])
        return {
            "images_per_second": len(images) / each,
            "milliseconds_a_step": 1000 * each / steps,
        }

    def largest_train(self, name, most):
        """The largest batch of a train step on kept features, by doubling."""
        return self._largest(name, most, self.train_features_of)

    def largest_predict(self, name, most):
        """The largest batch of prediction, by doubling."""
        return self._largest(name, most, self.predict)

    def train_features_of(self, name, count):
        """As `train_features`, of a few steps."""
        model = self.models.get(name)
        batch = gpu_models.feature_batch(model, count)
        return self._train(model, batch, count, seconds=0.2)

    def _largest(self, name, most, measure):
        batch, fitted, rates, ended = min(8, most), 0, {}, "limit"
        while batch <= most:
            if time.time() > self.job["until"]:
                ended = "time"
                break
            try:
                figures = measure(name, batch)
            except Exception as error:
                # What a failed step leaves of a model is no model.
                self.models.forget()
                if not gpu_models.is_out_of_memory(error):
                    raise
                ended = "memory"
                break
            fitted = batch
            rates[str(batch)] = figures["images_per_second"]
            batch *= 2
        if not fitted:
            raise NotMeasured(f"no batch of {batch} was done: {ended}")
        return {"largest_batch": fitted, "ended_by": ended, "rates": rates}

    def distribution(self, name, batch):
        """Data parallelism on one device, beside the plain step."""
        options = _on_one_device()
        found = []
        for given in ({}, options):
            model = self.models.make(name, **given)
            found.append(
                self._train(model, gpu_models.feature_batch(model, batch), batch)
            )
        plain, distributed = found
        return {
            **distributed,
            "times_plain": distributed["images_per_second"]
            / plain["images_per_second"],
            "first_loss_plain": plain["first_loss"],
        }


class _Epochs(keras.callbacks.Callback):
    """Seconds of each epoch, until its loss is there."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        float(logs["loss"])  # Waits for it.
        self.seconds.append(time.perf_counter() - self._began)


def _on_one_device():
    """The arguments of `RLR` for data parallelism on one device."""
    backend = keras.backend.backend()
    if backend == "jax":
        devices = keras.distribution.list_devices()[:1]
        return {
            "distribution": keras.distribution.DataParallel(
                devices=devices, auto_shard_dataset=False
            )
        }
    kind = "GPU" if gpu_models.on_gpu() else "CPU"
    if backend == "tensorflow":
        import tensorflow as tf

        return {"distribution": tf.distribute.MirroredStrategy([f"{kind}:0"])}
    import torch

    if not torch.distributed.is_torchelastic_launched():
        raise NotMeasured("this process was not started by torchrun")
    torch.distributed.init_process_group("nccl" if kind == "GPU" else "gloo")
    # That the devices' library answers is all that one process can show.
    total = torch.ones(1, device="cuda" if kind == "GPU" else "cpu")
    torch.distributed.all_reduce(total)
    if total.item() != torch.distributed.get_world_size():
        raise RuntimeError(f"a sum of ones over one process is {total.item()}")
    return {}


@contextlib.contextmanager
def _products(kind):
    """Products of float32 with all of its bits ("exact"), or the backend's own."""
    backend = keras.backend.backend()
    if kind == "usual":
        yield
    elif backend == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif backend == "tensorflow":
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)
    else:
        import torch

        switches = (torch.backends.cudnn, torch.backends.cuda.matmul)
        before = [switch.allow_tf32 for switch in switches]
        for switch in switches:
            switch.allow_tf32 = False
        try:
            yield
        finally:
            for switch, value in zip(switches, before, strict=True):
                switch.allow_tf32 = value


def _write_reference(job):
    """Weights, images, and the maps and scores of the CPU in float32."""
    folder = Path(job["folder"])
    models = Models("float32", job["small"])
    models.normalize_backbone()
    models.save_backbone(folder / _BACKBONE)
    model = models.get("all")
    images = gpu_models.random_images(2, model.image_size).astype("float32")
    batch = {"image": keras.ops.convert_to_tensor(images)}
    found = keras.Model.predict_on_batch(model, batch)
    model.save_weights(folder / _WEIGHTS)
    arrays = {key: np.asarray(found[key]) for key in ("anomaly_map", "anomaly_score")}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise FloatingPointError("the CPU's maps are not finite numbers")
    np.savez(folder / _ARRAYS, image=images, **arrays)


def _in_a_line(error):
    kind = "out of memory" if gpu_models.is_out_of_memory(error) else "failed"
    words = " ".join(str(error).split())
    return f"{kind}: {type(error).__name__}: {words[:300]}"
