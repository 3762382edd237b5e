"""Latency, size and agreement of every export format, beside the Keras model.

    python -m benchmarks.export --model RUN --data DIR [--formats litert] [--batch 8]

RUN is a trained model; DIR a folder in MVTec AD's layout, whose normal training images
are what int8 measures activations on, and whose test images are scored. Prints, of each
format, size, operators, milliseconds for one image (the median of some, in turns with
the Keras model's `predict_on_batch`), how many times as fast that is, images a second
and the same ratio with a batch, image AUROC, the largest difference of a map as a share
of the largest value, and decisions that changed. Of the SavedModel also the processor's
time of `serve_bytes`, as a ratio to decoding alone and `serving_default` together: for
one file and for eight, JPEG files of 512x512 and junk.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

EXPORTS = ("saved_model", "litert", "litert:float16", "litert:dynamic", "litert:int8")
EXPORTS += ("onnx", "openvino")


def runner_of(format, path):
    """A function from float32 images (1, S, S, 3) to a dict of arrays."""
    if format == "saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))

        def run(images):
            outputs = loaded.signatures["serve_float"](image=tf.constant(images))
            return {name: value.numpy() for name, value in outputs.items()}

        return run
    from keras_rlr.export import litert, onnx, openvino

    module = {"litert": litert, "onnx": onnx, "openvino": openvino}[format]
    (file,) = (p for p in path.iterdir() if p.suffix in (".tflite", ".onnx", ".xml"))
    return getattr(module, f"{format}_runners")(file)[format]


def milliseconds(functions, images, repeat):
    """Median milliseconds of each function, called in turns."""
    spent = [[] for _ in functions]
    for turn in range(repeat + 2):
        for function, seconds in zip(functions, spent, strict=True):
            began = time.perf_counter()
            function(images)
            if turn > 1:
                seconds.append(time.perf_counter() - began)
    return [1000 * statistics.median(seconds) for seconds in spent]


def serving_costs(path, image, repeat):
    """Yields a line for each kind of request: what `serve_bytes` costs.

    Args:
        path: A SavedModel.
        image: uint8 array (height, width, 3).
        repeat: Number of calls that a figure is the median of.
    """
    import tensorflow as tf
    from PIL import Image

    signatures = tf.saved_model.load(str(path)).signatures
    pixels = Image.fromarray(image).resize((512, 512))
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=90)
    pixels = np.asarray(pixels)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def decode(files):
        method = "INTEGER_ACCURATE"
        return tf.map_fn(
            lambda file: tf.io.decode_jpeg(file, 3, dct_method=method),
            files,
            fn_output_signature=tf.TensorSpec((None, None, 3), tf.uint8),
        )

    for count in (1, 8):
        images = tf.constant(np.repeat(pixels[None], count, axis=0))
        good, junk, cut = (
            tf.constant([content] * count)
            for content in (file.getvalue(), b"no image", file.getvalue()[:5000])
        )
        functions = {
            "decoding": lambda good=good: decode(good),
            "serving_default": lambda images=images: signatures["serving_default"](
                image=images
            ),
            "serve_float": lambda images=images: signatures["serve_float"](
                image=tf.cast(images, tf.float32)
            ),
            "good": lambda good=good: signatures["serve_bytes"](image_bytes=good),
            "junk": lambda junk=junk: signatures["serve_bytes"](image_bytes=junk),
            "cut short": lambda cut=cut: signatures["serve_bytes"](image_bytes=cut),
        }
        spent = {name: [] for name in functions}
        for turn in range(repeat + 2):
            for name, function in functions.items():
                began = time.process_time()
                function()
                if turn > 1:
                    spent[name].append(1000 * (time.process_time() - began))
        cost = {name: statistics.median(values) for name, values in spent.items()}
        aim = cost["decoding"] + cost["serving_default"]
        yield (
            f"{count} of 512x512, ms of the processor: decoding {cost['decoding']:.1f},"
            f" serving_default {cost['serving_default']:.1f}, serve_float "
            f"{cost['serve_float']:.1f}; serve_bytes, and times of decoding and "
            "serving_default: "
            + ", ".join(
                f"{name} {cost[name]:.1f} ({cost[name] / aim:.2f})"
                for name in ("good", "junk", "cut short")
            )
        )


def main():
    """Exports, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--formats", default=",".join(EXPORTS))
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    chosen = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras_rlr
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.inputs.images import to_resized_rgb
    from keras_rlr.metrics.functional import auroc

    model = keras_rlr.RLR.from_preset(chosen.model)
    compact = model.compact()
    normal = FolderDataset(chosen.data, "train")
    test = FolderDataset(chosen.data, "test")
    elements = [test[i] for i in range(len(test))]
    images = [
        to_resized_rgb(e["image"], model.image_size, "it")[None] for e in elements
    ]
    labels = np.array([e["label"] for e in elements])
    names = np.array([e["category"] for e in elements])

    def mean_auroc(scores):
        of = [auroc(labels[names == n], scores[names == n]) for n in sorted(set(names))]
        return 100 * np.mean(of)

    expected = model.predict(np.concatenate(images), verbose=0)
    scale = np.abs(expected["anomaly_map"]).max()
    print(f"Keras: image AUROC {mean_auroc(expected['anomaly_score']):.2f}", flush=True)
    for name in chosen.formats.split(","):
        format, _, quantize = name.partition(":")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "1"
            manifest = model.export(
                path, format=format, quantize=quantize or None, images=normal
            )
            run = runner_of(format, path)
            outputs = [run(image) for image in images]
            runners = (compact.predict_on_batch, run)
            times = milliseconds(runners, images[0], chosen.repeat)
            batch = np.concatenate(images[: chosen.batch])
            of_batch = milliseconds(runners, batch, chosen.repeat)
            costs = []
            if format == "saved_model":
                image = images[0][0].round().astype("uint8")
                costs = list(serving_costs(path, image, chosen.repeat))
        maps = np.concatenate([o["anomaly_map"] for o in outputs])
        scores = np.concatenate([o["anomaly_score"] for o in outputs])
        changed = "no threshold"
        if "is_anomalous" in outputs[0]:
            found = np.concatenate([o["is_anomalous"] for o in outputs])
            changed = (
                f"{int((found != expected['is_anomalous']).sum())} decisions changed"
            )
        size = sum(file["bytes"] for file in manifest["files"].values()) / 2**20
        rate = 1000 * len(batch) / of_batch[1]
        print(
            f"{name:15} {size:6.1f} MiB, {sum(manifest['operators'].values())} "
            f"operators; {times[1]:.1f} ms, Keras {times[0]:.1f}, "
            f"{times[0] / times[1]:.2f} times as fast; {rate:.1f} images/s by "
            f"{len(batch)}, {of_batch[0] / of_batch[1]:.2f} times; image AUROC "
            f"{mean_auroc(scores):.2f}, maps differ by "
            f"{np.abs(maps - expected['anomaly_map']).max() / scale:.1e}, {changed}",
            flush=True,
        )
        for line in costs:
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
