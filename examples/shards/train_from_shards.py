"""Trains on normal images that are in shards, of which only a few are in memory.

    pip install "keras-rlr[tensorflow,batch]"
    python train_from_shards.py SHARDS OUTPUT.keras

SHARDS is a folder of TFRecord files (`.tfrecord`, examples with a feature `image`), of
Parquet files (`.parquet`, with a column `image`) or of WebDataset's (`.tar`, of which
the files that end as images do are taken); images are PNG or JPEG of 8 bits a channel.
`tf.data` reads them, on every backend of Keras. `fit` takes the stream as it is; so it
takes a `torch.utils.data.DataLoader` over shards of other kinds.
"""

import sys
import tarfile
from pathlib import Path

import tensorflow as tf

IMAGES = (".png", ".jpg", ".jpeg")
SHUFFLED = 1024  # images in memory, among which the next one is drawn


def tfrecord_images(files):
    """The images of TFRecord files, in the order of the files.

    Args:
        files: Their paths.

    Returns:
        A `tf.data.Dataset` of uint8 images of any sizes.
    """
    feature = {"image": tf.io.FixedLenFeature([], tf.string)}

    def decode(record):
        return decoded(tf.io.parse_single_example(record, feature)["image"])

    return tf.data.TFRecordDataset(list(map(str, files))).map(decode)


def parquet_images(files, column="image"):
    """The images of Parquet files, in the order of the files.

    Args:
        files: Their paths.
        column: The column with the encoded images, as bytes or as structs with `bytes`.

    Returns:
        A `tf.data.Dataset` of uint8 images of any sizes.
    """
    import pyarrow.dataset

    def contents():
        table = pyarrow.dataset.dataset(list(map(str, files)), format="parquet")
        # Few rows at a time: by itself it would take 131072 images.
        for batch in table.to_batches(
            columns=[column], batch_size=64, batch_readahead=2, fragment_readahead=1
        ):
            for image in batch[column].to_pylist():
                yield image["bytes"] if isinstance(image, dict) else image

    signature = tf.TensorSpec([], tf.string)
    encoded = tf.data.Dataset.from_generator(contents, output_signature=signature)
    return encoded.map(decoded, num_parallel_calls=tf.data.AUTOTUNE)


def webdataset_images(files):
    """The images of WebDataset's tar files, in the order of the files.

    Args:
        files: Their paths.

    Returns:
        A `tf.data.Dataset` of uint8 images of any sizes.
    """

    def contents():
        for file in files:
            # Read from its start to its end, without a list of all that is in it.
            with tarfile.open(file, "r|*") as shard:
                for member in shard:
                    if member.isfile() and member.name.lower().endswith(IMAGES):
                        yield shard.extractfile(member).read()

    signature = tf.TensorSpec([], tf.string)
    encoded = tf.data.Dataset.from_generator(contents, output_signature=signature)
    return encoded.map(decoded, num_parallel_calls=tf.data.AUTOTUNE)


def decoded(content):
    """The pixels of an encoded image, the very ones that `predict` reads from files.

    TensorFlow's decoder has other pixels of JPEG, and of 16 bits keeps the upper 8.
    """
    from keras_rlr.datasets.image_files import read_image_bytes

    def read(content):
        return read_image_bytes(content, "An image of the shards")

    pixels = tf.numpy_function(read, [content], tf.uint8)
    return tf.ensure_shape(pixels, (None, None, None))


def main():
    """Trains a model on all shards of a folder."""
    # Before TensorFlow has computed anything, so that Keras finds its backend.
    import keras_rlr

    shards, output = map(Path, sys.argv[1:])
    readers = {
        "tfrecord": tfrecord_images,
        "parquet": parquet_images,
        "tar": webdataset_images,
    }
    kinds = [kind for kind in readers if any(shards.glob(f"*.{kind}"))]
    if len(kinds) != 1:
        sys.exit(
            f"'{shards}' must be a folder with shards of one kind: .tfrecord, .parquet "
            f"or .tar. Found: {', '.join(kinds) or 'none'}."
        )
    images = readers[kinds[0]](sorted(shards.glob(f"*.{kinds[0]}")))
    images = images.shuffle(SHUFFLED, seed=0).prefetch(tf.data.AUTOTUNE)
    model = keras_rlr.RLR.from_preset("rlr_efficientnet_lite2", seed=0)
    # The backbone runs once an image; the features of all are kept in the folder.
    model.fit(images, feature_cache=f"{output}.features")
    model.save(output)


if __name__ == "__main__":
    main()
