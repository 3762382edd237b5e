import warnings

import numpy as np
import pytest

import keras_rlr
from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.proportions import announce_changed_proportions
from tests.datasets.layouts.write_files import write_image
from tests.tiny_model import tiny_backbone

pytestmark = pytest.mark.backend_independent


def blank(*shapes):
    return [np.zeros((*shape, 3), "uint8") for shape in shapes]


def announce(shapes, map_size, **options):
    announce_changed_proportions(ImageSource(blank(*shapes), 2), map_size, **options)


@pytest.mark.parametrize(
    ("shape", "map_size", "expected"),
    [
        ((1260, 500), (256, 256), "2.5 times as wide. image_size=(640, 256)"),
        ((500, 1260), (256, 256), "2.5 times as high. image_size=(256, 640)"),
        ((300, 900), (392, 392), "image_size=(392, 1176) (--image-size 392x1176)"),
        ((400, 400), (640, 256), "2.5 times as high. image_size=(256, 256)"),
    ],
)
def test_the_size_that_keeps_proportions_is_named(shape, map_size, expected):
    with pytest.warns(UserWarning) as warned:
        announce([shape] * 4, map_size)
    (warning,) = warned
    assert expected in str(warning.message)
    assert f"4 have other proportions than {map_size[0]}x{map_size[1]}" in str(
        warning.message
    )
    assert f"{shape[0]}x{shape[1]} pixels" in str(warning.message)


@pytest.mark.parametrize(
    ("shapes", "map_size"),
    [
        ([(1000, 1500)] * 3, (256, 256)),
        ([(1260, 500)] * 3, (640, 256)),
        # Refused elsewhere, in words of their own.
        ([(0, 500)] * 3, (256, 256)),
    ],
)
def test_nothing_is_said_where_no_size_is_better(shapes, map_size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        announce(shapes, map_size)


def test_of_some_products_alone():
    squares, strips = [(800, 800)] * 30, [(1260, 500)] * 10
    with pytest.warns(UserWarning, match="images that were looked at, 4 have") as found:
        announce(squares + strips, (256, 256))
    (warning,) = found
    assert "1260x500 pixels shows becomes 2.5 times as wide" in str(warning.message)
    assert "No one size keeps the proportions of all" in str(warning.message)
    with pytest.warns(UserWarning, match="No one size"):
        announce([(1260, 500), (500, 1260)], (256, 256))


def test_of_columns_grey_images_and_parts():
    data = {"image": [np.zeros((90, 30), "uint8")] * 2, "category": ["a", "b"]}
    for source in (ImageSource(data, 2), ImageSource(data, 2).part(0, 1)):
        with pytest.warns(UserWarning, match=r"image_size=\(96, 32\)"):
            announce_changed_proportions(source, (32, 32))


class WithShape(list):
    """A user's own, which calls by this name what one image has."""

    image_shape = (32, 32, 3)


def test_what_a_users_data_calls_image_shape_is_not_asked():
    model = keras_rlr.PatchCore(tiny_backbone(), levels=(1, 2), image_size=32, seed=0)
    model.fit(WithShape(blank(*[(32, 32)] * 4)), verbose=0)
    model = keras_rlr.PatchCore(tiny_backbone(), levels=(1, 2), image_size=32, seed=0)
    model.fit(WithShape(blank(*[(32, 32)] * 8)), validation_split=0.25, verbose=0)


def test_what_turns_images_needs_squares():
    with pytest.warns(UserWarning, match='without augmentation="rotate"'):
        announce([(900, 300)], (256, 256), is_turned=True)


def test_of_tiles_rows_and_columns_are_advised():
    with pytest.warns(UserWarning, match="Rows and columns of tiles"):
        announce([(900, 300)], (256, 256), in_tiles=True)


def test_fit_says_it_of_files(tmp_path):
    for i in range(3):
        write_image(tmp_path, f"strip/train/good/{i}.png", size=(120, 40))
    model = keras_rlr.PatchCore(tiny_backbone(), levels=(1, 2), image_size=32, seed=0)
    with pytest.warns(UserWarning, match=r"what one of 120x40 pixels shows"):
        model.fit(FolderDataset(tmp_path, "train"), verbose=0)


@pytest.mark.parametrize(
    "kind", [FolderDataset, lambda p: JoinedDataset([FolderDataset(p)])]
)
def test_of_files_no_pixel_is_read(tmp_path, kind):
    shapes = [(120, 40), (90, 30), (6, 8)]
    for i, size in enumerate(shapes):
        write_image(tmp_path, f"strip/train/good/{i}.png", size=size)
    data = kind(tmp_path)
    assert [data.image_shape(i) for i in range(3)] == shapes
    assert [data[i]["image"].shape[:2] for i in range(3)] == shapes
    # Of the first two alone; they end behind their headers.
    for name in "01":
        path = tmp_path / f"strip/train/good/{name}.png"
        path.write_bytes(path.read_bytes()[:60])
    with pytest.warns(UserWarning, match="what one of (120x40|90x30) pixels"):
        announce_changed_proportions(ImageSource(data, 2).part(0, 2), (32, 32))
