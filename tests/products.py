"""Images of products that differ, as those of a tiny image size do by their colours."""

import numpy as np

from tests.tiny_model import IMAGE_SIZE

COLOURS = {"bolt": (60, 70, 90), "nut": (180, 120, 60), "washer": (90, 190, 160)}


def images_of(colour, count, seed, spread=25):
    """uint8 images (count, IMAGE_SIZE, IMAGE_SIZE, 3): noise around a colour."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, spread, (count, IMAGE_SIZE, IMAGE_SIZE, 3))
    shade = generator.normal(0, 4, (count, 1, 1, 3))
    return np.clip(noise + shade + np.array(colour), 0, 255).astype("uint8")


def elements_of(counts, seed=0, with_category=True):
    """List of dicts, `counts` of each product, one product after the other."""
    elements = []
    for number, (name, count) in enumerate(counts.items()):
        # Products also score differently: their noise differs.
        for image in images_of(COLOURS[name], count, seed + number, 15 + 10 * number):
            category = {"category": name} if with_category else {}
            elements.append({"image": image, **category})
    return elements


def strange_images(count=2, seed=9):
    """Images of something else: black and white stripes."""
    generator = np.random.default_rng(seed)
    columns = np.arange(IMAGE_SIZE) // 4 % 2 * 255
    image = np.broadcast_to(columns[None, :, None], (IMAGE_SIZE, IMAGE_SIZE, 3))
    noise = generator.integers(-20, 20, (count, IMAGE_SIZE, IMAGE_SIZE, 3))
    return np.clip(image + noise, 0, 255).astype("uint8")
