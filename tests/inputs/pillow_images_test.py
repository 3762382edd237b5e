"""Images of Pillow that users open themselves, against Pillow's own conversions."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from keras_rlr.datasets import read_image
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.training_batches import TrainingBatches

pytestmark = pytest.mark.backend_independent

SIZE = (12, 10)  # height, width
COLOURED = ("RGB", "RGBA", "RGBX", "P", "CMYK", "YCbCr", "HSV", "RGBa", "PA")
GREY = ("L", "1", "LA", "La")


def picture():
    values = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype("uint8")
    return Image.fromarray(values)


def in_mode(mode):
    image = picture()
    if mode == "PA":
        image = image.convert("P")
    elif mode in ("La", "RGBa"):
        image = image.convert(mode.replace("a", "A"))
    return image.convert(mode)


def expected_of(mode):
    image = in_mode(mode)
    if mode == "PA":
        image = image.convert("RGBA")
    if mode in ("La", "RGBa"):
        image = image.convert(mode.replace("a", "A"))
    return np.asarray(image.convert("RGB"), "float32")


def predicted(data):
    batches = PredictionBatches(ImageSource(data, 2), SIZE)
    return np.concatenate([images for _, images in batches.images()])


CONTAINERS = {
    "list": lambda image: [image, image],
    "dicts": lambda image: [{"image": image}, {"image": image, "mask": image}],
    "columns": lambda image: {"image": [image, image], "mask": [image, None]},
    "pairs": lambda image: [(image, 0), (image, 1)],
    "loader": lambda image: torch.utils.data.DataLoader(
        [image, image], batch_size=2, collate_fn=list
    ),
    "single": lambda image: torch.utils.data.DataLoader([image], batch_size=None),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("mode", ["P", "CMYK", "L"])
def test_containers(container, mode):
    for image in predicted(CONTAINERS[container](in_mode(mode))):
        np.testing.assert_array_equal(image, expected_of(mode))


@pytest.mark.parametrize("mode", [*COLOURED, *GREY])
def test_modes(mode):
    (image,) = predicted([in_mode(mode)])
    np.testing.assert_array_equal(image, expected_of(mode))


def test_floats_stay_what_they_are():
    image = in_mode("F")
    expected = np.repeat(np.asarray(image)[..., None], 3, -1)
    np.testing.assert_array_equal(predicted([image])[0], expected)


def test_lab():
    from PIL import ImageCms

    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    there = ImageCms.buildTransform(rgb, lab, "RGB", "LAB")
    back = ImageCms.buildTransform(lab, rgb, "LAB", "RGB")
    image = ImageCms.applyTransform(picture(), there)
    assert image.mode == "LAB"
    expected = np.asarray(ImageCms.applyTransform(image, back), "float32")
    np.testing.assert_allclose(predicted([image])[0], expected, atol=2)


@pytest.mark.parametrize("dtype", ["uint16", ">u2", "int32"])
def test_16_bits(dtype):
    values = np.random.default_rng(0).integers(0, 65536, SIZE).astype(dtype)
    image = Image.fromarray(values)
    assert image.mode in ("I;16", "I;16B", "I")
    expected = values.astype("float64") / 257
    np.testing.assert_allclose(predicted([image])[0][..., 0], expected, atol=1e-3)


def test_grey_and_coloured_ones_may_be_mixed():
    images = predicted([in_mode("L"), in_mode("RGB")])
    np.testing.assert_array_equal(images[0], expected_of("L"))
    np.testing.assert_array_equal(images[1], expected_of("RGB"))


def test_transparency_of_a_palette_is_dropped_as_of_files(tmp_path):
    image = in_mode("P")
    image.save(tmp_path / "a.png", transparency=3)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.mode == "P"
        (received,) = predicted([opened])
    file = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(received, file[..., :3].astype("float32"))


def test_training_reads_them_so_too():
    source = ImageSource([in_mode("CMYK"), in_mode("P")], 2)
    ((batch,),) = TrainingBatches(source, SIZE, seed=0, shuffle=False).generate()
    np.testing.assert_array_equal(batch["image"][0], expected_of("CMYK"))
    np.testing.assert_array_equal(batch["image"][1], expected_of("P"))


def test_one_that_cannot_be_read():
    content = io.BytesIO()
    picture().resize((200, 200)).save(content, "JPEG")
    image = Image.open(io.BytesIO(content.getvalue()[:900]))
    with pytest.raises(ValueError, match=r"mode 'RGB'\) that can't be read: .*Give"):
        predicted([image])
    too_deep = Image.fromarray(np.full(SIZE, 70000, "int32"))
    with pytest.raises(ValueError, match="32-bit pixels don't fit in 16 bits"):
        predicted([too_deep])
