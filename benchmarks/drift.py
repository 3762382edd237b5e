"""A lamp that fades, on painted products: `python -m benchmarks.drift [--trials N]`.

PatchCore of EfficientNet-Lite2 at 128 pixels learns one painted product and is
calibrated on 200 images of it. Windows of 50, 100 and 200 images that it has never seen
are given to `monitor_scores`, as painted and at 0.9, 0.8, 0.7 and 0.6 of their
brightness, and blurred: p-values of each quantity, and which are drift.

Then unchanged tables: windows are drawn again and again from what was measured of
1000 further images, against calibrations drawn from the same, and how many tables are
called drift is counted; and so of simulated values, which never run out.
"""

import argparse

import numpy as np
from scipy.ndimage import gaussian_filter

import keras_rlr
from keras_rlr.datasets.procedural.render_product import (
    PROCEDURAL_CATEGORIES,
    render_product,
)
from keras_rlr.detectors.calibration_scores import CalibrationScores
from keras_rlr.evaluation.drift.drift_window import QUANTITIES, SCORES
from keras_rlr.evaluation.drift.monitor_scores import monitor_scores
from keras_rlr.evaluation.drift.scored_row import ScoredRow
from keras_rlr.evaluation.drift.scores_table import ScoresTable
from keras_rlr.inputs.host_batches import resized_image
from keras_rlr.inputs.image_measures import MEASURES, measure_image

PRODUCT, SIZE = "gear", 128
TRAINED, CALIBRATED, FURTHER = 60, 200, 1000
WINDOWS = (50, 100, 200)
CHANGES = {
    "unchanged": lambda image: image,
    **{
        f"lamp x {light}": lambda image, light=light: np.rint(light * image)
        for light in (0.9, 0.8, 0.7, 0.6)
    },
    "blurred by 1 pixel": lambda image: gaussian_filter(image, (1, 1, 0)),
}


def painted(split, count):
    """Images of the product that no other split has."""
    number = PROCEDURAL_CATEGORIES.index(PRODUCT)
    for i in range(count):
        yield render_product(PRODUCT, (0, number, split, i), None, (SIZE, SIZE))[0]


def looked_at(model, images):
    """Arrays of scores, brightness and sharpness of images."""
    scores = model.predict(np.stack(images), verbose=0)["anomaly_score"]
    measures = [
        measure_image(resized_image({"image": image}, 0, (SIZE, SIZE)))
        for image in images
    ]
    columns = {name: np.array([each[name] for each in measures]) for name in MEASURES}
    return {SCORES: scores, **columns}


def judged(calibration, values, window):
    """The `Drift` of a table of values."""
    rows = [
        ScoredRow(f"{i}.png", values[SCORES][i], "", PRODUCT, {
            name: values[name][i] for name in MEASURES
        })
        for i in range(len(values[SCORES]))
    ]  # fmt: skip
    return monitor_scores(ScoresTable(rows, False), calibration, window, 0.05, PRODUCT)


def kept(values):
    """`CalibrationScores` of values."""
    scores = CalibrationScores(name="calibration_scores")
    names = [PRODUCT] * len(values[SCORES])
    scores.set(values[SCORES], names, {name: values[name] for name in MEASURES})
    return scores


def false_alarms(draw, trials, windows, window, calibrated):
    """Share of unchanged tables that are called drift."""
    found = 0
    for _ in range(trials):
        calibration, table = draw(calibrated), draw(windows * window)
        found += judged(kept(calibration), table, window).drift
    return found / trials


def drawn(random, values):
    """A function that draws from the values of images, with replacement."""

    def draw(count):
        rows = random.integers(0, len(values[SCORES]), count)
        return {name: column[rows] for name, column in values.items()}

    return draw


def simulated(random, anomalous):
    """A function that draws values which depend on each other."""

    def draw(count):
        light, texture = random.normal(size=(2, count))
        strange = random.random(count) < anomalous
        side = np.where(random.random(count) < 0.5, 0.3, -0.3)
        return {
            SCORES: np.exp(0.3 * texture + 0.2 * light) + 9 * strange,
            "brightness": 0.5 + 0.05 * light + side * strange,
            "sharpness": np.exp(0.2 * texture),
        }

    return draw


def main():
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    model = keras_rlr.PatchCore(
        backbone="efficientnet_lite2", image_size=SIZE, coreset_ratio=0.02, seed=0
    )
    model.fit(np.stack(list(painted(0, TRAINED))), verbose=0)
    calibration = kept(looked_at(model, list(painted(1, CALIBRATED))))
    further = list(painted(2, FURTHER))
    print(f"{PRODUCT}, {CALIBRATED} images of calibration; p-values, * is drift")
    print("change | window | " + " | ".join(QUANTITIES))
    for name, change in CHANGES.items():
        images = [
            np.clip(change(image.astype("float32")), 0, 255).astype("uint8")
            for image in further[: max(WINDOWS)]
        ]
        values = looked_at(model, images)
        for window in WINDOWS:
            part = {key: column[:window] for key, column in values.items()}
            cells = [
                f"{each.p_value:.1g}{'*' if each.drift else ''}"
                for each in judged(calibration, part, window).windows
            ]
            print(f"{name} | {window} | " + " | ".join(cells), flush=True)
    everything = looked_at(model, further)
    random = np.random.default_rng(0)
    draws = (drawn(random, everything), *(simulated(random, a) for a in (0.0, 0.04)))
    print(f"unchanged tables called drift, of {trials}")
    for windows, window, calibrated in (
        *((1, 50, 200), (1, 100, 200), (1, 200, 200)),
        *((1, 100, 20), (4, 100, 80)),
    ):
        shares = [
            false_alarms(draw, trials, windows, window, calibrated) for draw in draws
        ]
        print(
            f"{windows} windows of {window}, {calibrated} of calibration: painted "
            "{:.2%}, simulated {:.2%}, with anomalies {:.2%}".format(*shares),
            flush=True,
        )


if __name__ == "__main__":
    main()
