"""Tiles of large images: the memory they take, and what moving their grid changes.

    python -m benchmarks.large_images memory [--height 6000] [--width 8000]
    python -m benchmarks.large_images shift --data DIR [--images 40] [--overlap 0.25]

`memory` writes an image into a temporary folder and prints the peak memory of scoring
it in tiles, by the function of `keras-rlr predict` and by `model.predict`, each in a
process of its own. The bar is 2 GiB for the command.

`shift` cuts windows of one size out of each image of DIR (a category in MVTec AD's
layout), at several offsets, so that the grid of tiles lies elsewhere over the same
content at the same scale. It compares the largest value of the maps in what two
windows show: all of it, and without the margins that are given. Context ends at a
window's edge too, with tiles or without, so the same is printed of one tile as large
as the window. The bar is 2 %.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.memory import peak_mib

MODELS = ("PatchCore", "RLR")
WAYS = ("model alone", "predict_images", "model.predict")
# Rows and columns. The last is a multiple of every stride of the backbone.
OFFSETS = ((16, 8), (48, 24), (96, 48), (64, 32))
# What is left out at the windows' edges: shares of the tiles' overlap.
MARGINS = (0.0, 0.5, 1.0)
MOST_MIB = 2048
MOST_PERCENT = 2.0


def with_tiles(model, tiles, overlap):
    """Returns the model of the same weights that looks at tiles."""
    settings = {"tiles": tiles, "overlap": overlap}
    tiled = type(model).from_config({**model.get_config(), **settings})
    tiled.set_weights(model.get_weights())
    return tiled


def save_model(name, chosen):
    """Writes a model that saw a few images, and looks at tiles of a large one."""
    import keras_rlr

    kind = getattr(keras_rlr, name)
    model = kind.from_preset(f"{name.lower()}_efficientnet_lite2", seed=0)
    rng = np.random.default_rng(0)
    size = model.image_size
    model.fit(
        rng.integers(0, 256, (16, size, size, 3), "uint8"),
        verbose=0,
        **({"epochs": 1} if model.has_steps else {}),
    )
    step = round(size * (1 - chosen.overlap))
    covered = (chosen.height, chosen.width)
    tiles = tuple(-(-(side - (size - step)) // step) for side in covered)
    with_tiles(model, tiles, chosen.overlap).save(chosen.folder / f"{name}.keras")
    print(f"{tiles[0]}x{tiles[1]}")


def score_large(name, way, folder):
    """Prints the peak memory of one way."""
    import keras

    from keras_rlr.datasets import read_image
    from keras_rlr.evaluation.predict_images import predict_images

    model = keras.saving.load_model(folder / f"{name}.keras")
    path = folder / "images" / "large.jpg"
    if way == "predict_images":
        (row,) = predict_images(model, path, folder / "output" / name)
        assert row.anomaly_score is not None, row.error
    elif way == "model.predict":
        (anomaly_map,) = model.predict([read_image(path)], verbose=0)["anomaly_map"]
        assert np.isfinite(anomaly_map).all()
    print(f"{peak_mib():.0f}")


def measure_memory(chosen):
    """Writes an image, scores it and prints the memory that it took."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        images.mkdir()
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (60, 80, 3), "uint8")
        size = (chosen.width, chosen.height)
        Image.fromarray(coarse).resize(size).save(images / "large.jpg")
        for name in chosen.models.split(","):
            tiles = _in_a_process(chosen, "--save", name, "--folder", folder)
            for way in WAYS:
                found = _in_a_process(
                    chosen, "--score", name, "--way", way, "--folder", folder
                )
                mib = float(found)
                bar = ""
                if way == "predict_images":
                    bar = f" (at most {MOST_MIB}: {'met' if mib <= MOST_MIB else 'NO'})"
                print(f"{name}, {tiles} tiles, {way}: {mib:.0f} MiB{bar}", flush=True)


def _in_a_process(chosen, *arguments):
    sides = ("--height", str(chosen.height), "--width", str(chosen.width))
    command = [sys.executable, "-m", "benchmarks.large_images", "memory", *sides]
    done = subprocess.run(
        [*command, "--overlap", str(chosen.overlap), *arguments],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.split()[-1]


def measure_shift(chosen):
    """Trains PatchCore on tiles, moves their grid and prints what that changes."""
    import keras_rlr
    from keras_rlr.tiling import Tiling, tiles_from_words

    tiles = tiles_from_words(chosen.tiles)
    tiling = Tiling.of(tiles, chosen.overlap, chosen.size)
    height, width = tiling.whole_size
    down, right = (max(each) for each in zip(*OFFSETS, strict=True))
    least = (height + down, width + right)
    train = _images(chosen.data / "train" / "good", chosen.train_images, least)
    test = []
    for folder in sorted((chosen.data / "test").iterdir()):
        test += _images(folder, chosen.images // 2, least)
    arguments = {"image_size": chosen.size, "max_patches": chosen.max_patches}
    model = keras_rlr.PatchCore.from_preset(
        "patchcore_efficientnet_lite2",
        seed=0,
        tiles=tiles,
        overlap=chosen.overlap,
        **arguments,
    )
    middle = (down // 2, right // 2)
    model.fit(np.stack([_window(x, middle, tiling) for x in train]), verbose=0)
    # The bank fits any grid.
    one_tile = keras_rlr.PatchCore.from_preset(
        "patchcore_efficientnet_lite2",
        seed=0,
        bank_size=model.bank_size,
        **{**arguments, "image_size": (height, width)},
    )
    one_tile.set_weights(model.get_weights())
    print(
        f"{len(train)} images trained on, {len(test)} moved, windows of "
        f"{height}x{width}, tiles {chosen.tiles}, overlap {chosen.overlap}",
        flush=True,
    )
    margins = [round(share * max(tiling.overlaps)) for share in MARGINS]
    worst = {}
    for words, each in (("tiles", model), ("one tile", one_tile)):
        first = _maps(each, test, (0, 0), tiling)
        for offset in OFFSETS:
            moved = _maps(each, test, offset, tiling)
            for margin in margins:
                changes = _changes(first, moved, offset, margin)
                median, high = np.median(changes), np.quantile(changes, 0.9)
                print(
                    f"{words}, moved by {offset[0]},{offset[1]}, margin {margin}: "
                    f"median {median:.2f} %, 90 % quantile {high:.2f} %",
                    flush=True,
                )
                largest = worst.get((words, margin), (0.0, 0.0))
                worst[words, margin] = tuple(map(max, largest, (median, high)))
    for (words, margin), (median, high) in worst.items():
        print(
            f"{words}, margin {margin}, worst offset: median {median:.2f} % "
            f"({'met' if median < MOST_PERCENT else 'NO'}), 90 % quantile {high:.2f} % "
            f"({'met' if high < MOST_PERCENT else 'NO'})"
        )


def _images(folder, count, least):
    """The first images of a folder that are large enough, as RGB arrays."""
    found = []
    for path in sorted(folder.iterdir()):
        image = np.asarray(Image.open(path).convert("RGB"))
        if image.shape[0] >= least[0] and image.shape[1] >= least[1]:
            found.append(image)
        if len(found) == count:
            break
    if not found:
        raise SystemExit(f"No image of {folder} has {least[0]}x{least[1]} pixels.")
    return found


def _window(image, offset, tiling):
    (top, left), (height, width) = offset, tiling.whole_size
    return image[top : top + height, left : left + width]


def _maps(model, images, offset, tiling):
    windows = [_window(image, offset, tiling) for image in images]
    maps = [
        model.predict(np.stack(windows[i : i + 4]), verbose=0, original_size=False)
        for i in range(0, len(windows), 4)
    ]
    return np.concatenate([each["anomaly_map"] for each in maps])


def _changes(first, moved, offset, margin):
    """By how many per cent the largest value in what both show is another."""
    _, height, width = first.shape
    down, right = offset
    both = (
        first[:, down + margin : height - margin, right + margin : width - margin],
        moved[:, margin : height - down - margin, margin : width - right - margin],
    )
    before, after = (maps.max(axis=(1, 2)) for maps in both)
    return 100 * np.abs(after - before) / before


def main():
    """Measures and prints what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["memory", "shift"])
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--height", type=int, default=6000)
    parser.add_argument("--width", type=int, default=8000)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--data", type=Path, help="A category's folder, for shift.")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--train-images", type=int, default=40)
    parser.add_argument("--max-patches", type=int, default=100_000)
    parser.add_argument("--tiles", default="5x2")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--save", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--score", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.save:
        save_model(chosen.save, chosen)
    elif chosen.score:
        score_large(chosen.score, chosen.way, chosen.folder)
    elif chosen.what == "memory":
        measure_memory(chosen)
    elif chosen.data is None:
        parser.error("shift needs --data DIR, a category in MVTec AD's layout.")
    else:
        measure_shift(chosen)


if __name__ == "__main__":
    main()
