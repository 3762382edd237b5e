"""A folder of images, some of them poisoned, and how to score it in this process."""

from pathlib import Path

from PIL import Image

from keras_rlr.batch.find_lake import find_lake
from keras_rlr.batch.part_scorer import PartScorer
from keras_rlr.batch.result_folder import ResultFolder
from tests.tiny_model import random_images

MODEL = Path(__file__).parents[1] / "saved" / "patchcore.keras"
FOLDERS = ("bolt", "nut", "line 3")


def write_lake(root, count=36):
    """Writes good images in three folders, two of them named like products, and three
    files that are none.
    """
    for i, image in enumerate(random_images(count, 40, 50, seed=4)):
        path = root / FOLDERS[i % 3] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (root / "bolt" / "broken.png").write_bytes(b"no image")
    (root / "nut" / "empty.jpg").write_bytes(b"")
    whole = (root / "bolt" / "00.png").read_bytes()
    (root / "line 3" / "cut.png").write_bytes(whole[: len(whole) // 2])
    return root


def open_results(output, model=MODEL, **settings):
    """A `ResultFolder` as workers find it."""
    results = ResultFolder(str(output))
    results.prepare(settings)
    results.write_model(model.read_bytes())
    return results


def scorer(output, category=None, batch_size=4):
    """A worker in this process."""
    import keras

    return PartScorer(str(output), batch_size, category, 2, keras.backend.backend())


def score_here(place, output, column=None, **options):
    """Scores a place without Ray; returns the reports."""
    results = open_results(output)
    worker = scorer(output, **options)
    return [worker.score(part) for part in find_lake(str(place), column).parts(results)]
