"""Writes little images in the layout of a data set."""

import csv
import zlib

import numpy as np
from PIL import Image


def write_image(root, name, value=100, size=(6, 8)):
    """An image of one grey, at a place below `root`; a corner says which it is."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, 3), value, "uint8")
    # No two are copies of each other, which test sets must not be of training images.
    pixels[-1, -1] = list(zlib.crc32(name.encode()).to_bytes(4, "big")[:3])
    Image.fromarray(pixels).save(path)


def write_mask(root, name, value=1, size=(6, 8)):
    """A mask with one anomalous corner."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size, "uint8")
    mask[:2, :3] = value
    Image.fromarray(mask).save(path)


def write_visa(root, categories=("candle", "pcb1"), train=3, normal=2, anomalous=2):
    """A data set in VisA's published layout."""
    rows = []
    for category in categories:
        for i in range(train + normal):
            image = f"{category}/Data/Images/Normal/{i:04}.JPG"
            write_image(root, image, value=90 + i)
            split = "train" if i < train else "test"
            rows.append([category, split, "normal", image, ""])
        for i in range(anomalous):
            image = f"{category}/Data/Images/Anomaly/{i:03}.JPG"
            mask = f"{category}/Data/Masks/Anomaly/{i:03}.png"
            write_image(root, image, value=200)
            write_mask(root, mask, value=i + 1)
            rows.append([category, "test", "anomaly", image, mask])
    table = root / "split_csv" / "1cls.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["object", "split", "label", "image", "mask"])
        # The published table is not sorted either.
        writer.writerows(rows[::-1])
