"""The example that trains from shards, beside the same images in memory."""

import importlib.util
import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from keras_rlr.datasets.image_files import read_image_bytes
from tests.tiny_model import (
    ONE_LEVEL,
    fit_losses,
    random_images,
    restore,
    snapshot,
    tiny_model,
)

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]
FILE = Path(__file__).parents[2] / "examples" / "shards" / "train_from_shards.py"
PIXELS = random_images(12, 30, 36)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_from_shards", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def losses():
    """The losses of one model, which is new each time, without being traced anew."""
    model = tiny_model(**ONE_LEVEL)
    state = snapshot(model)

    def fitted(images, **options):
        restore(state)
        return fit_losses(model, images, epochs=2, batch_size=4, **options)

    return fitted


@pytest.fixture(scope="module")
def expected(losses):
    return losses(PIXELS, shuffle=False)


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def tfrecords(folder):
    for shard in range(3):
        with tf.io.TFRecordWriter(str(folder / f"{shard}.tfrecord")) as writer:
            for pixels in PIXELS[4 * shard : 4 * shard + 4]:
                content = tf.train.BytesList(value=[encoded(pixels)])
                feature = {"image": tf.train.Feature(bytes_list=content)}
                features = tf.train.Features(feature=feature)
                writer.write(tf.train.Example(features=features).SerializeToString())
    return sorted(folder.glob("*.tfrecord"))


def parquets(folder, make=encoded):
    for shard in range(3):
        chosen = PIXELS[4 * shard : 4 * shard + 4]
        table = pa.table({"image": list(map(make, chosen))})
        pq.write_table(table, folder / f"{shard}.parquet")
    return sorted(folder.glob("*.parquet"))


def tars(folder):
    for shard in range(3):
        with tarfile.open(folder / f"{shard}.tar", "w") as file:
            for number in range(4 * shard, 4 * shard + 4):
                # WebDataset keeps what belongs to one sample under one name.
                parts = {"png": encoded(PIXELS[number]), "json": b"{}"}
                for end, content in parts.items():
                    member = tarfile.TarInfo(f"{number:06}.{end}")
                    member.size = len(content)
                    file.addfile(member, io.BytesIO(content))
    return sorted(folder.glob("*.tar"))


def structs(folder):
    return parquets(folder, lambda pixels: {"bytes": encoded(pixels), "path": None})


def test_photographs_have_the_pixels_that_files_have(example, tmp_path):
    def jpeg(pixels):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        return file.getvalue()

    images = example.parquet_images(parquets(tmp_path, jpeg))
    for found, pixels in zip(images.as_numpy_iterator(), PIXELS, strict=True):
        np.testing.assert_array_equal(found, read_image_bytes(jpeg(pixels), "a"))
    deep = np.full((8, 8), 4095, "uint16")
    for file in tmp_path.iterdir():
        file.unlink()
    pq.write_table(pa.table({"image": [encoded(deep)]}), tmp_path / "deep.parquet")
    # In 8 bits they would be nearly black.
    with pytest.raises(tf.errors.OpError, match="uint16"):
        next(example.parquet_images([tmp_path / "deep.parquet"]).as_numpy_iterator())


@pytest.mark.parametrize(
    ("write", "reader"),
    [
        (tfrecords, "tfrecord_images"),
        (parquets, "parquet_images"),
        (structs, "parquet_images"),
        (tars, "webdataset_images"),
    ],
)
def test_training_from_shards_is_training_from_memory(
    example, losses, expected, tmp_path, write, reader
):
    images = getattr(example, reader)(write(tmp_path))
    for found, pixels in zip(images.as_numpy_iterator(), PIXELS, strict=True):
        np.testing.assert_array_equal(found, pixels)
    np.testing.assert_allclose(losses(images), expected, rtol=1e-5)
    cached = losses(images, feature_cache=str(tmp_path / "cache"), shuffle=False)
    np.testing.assert_allclose(cached, expected, rtol=1e-5)
