import numpy as np
import pytest

from keras_rlr.evaluation import evaluate_model
from keras_rlr.evaluation.best_on_test_set import (
    BestOnTestSet,
    load_best,
    measure_best,
    read_history,
)
from tests.tiny_model import random_images, tiny_model


@pytest.fixture(scope="module")
def test_set():
    elements = []
    for i, image in enumerate(random_images(8, seed=3)):
        mask = np.zeros(image.shape[:2], "uint8")
        if i % 2:
            mask[8:20, 8:20] = 1
            image[8:20, 8:20] = 255 - image[8:20, 8:20]
        elements.append({"image": image, "label": i % 2, "category": "a", "mask": mask})
    return elements


def test_keeps_the_best_models_and_says_which(test_set, tmp_path):
    model = tiny_model()
    scores = {}

    class Watch(BestOnTestSet):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            scores[epoch + 1] = evaluate_model(self.model, test_set)["mean"]

    model.optimizer.learning_rate = 0.01
    model.fit(
        random_images(8), epochs=4, batch_size=4, verbose=0,
        callbacks=[Watch(test_set, tmp_path)],
    )  # fmt: skip
    rows = read_history(tmp_path)
    assert [row.pop("epoch") for row in rows] == [1, 2, 3, 4]
    assert rows == [pytest.approx(scores[epoch]) for epoch in scores]
    best = load_best(tmp_path)
    for figure, (kept, epoch) in best.items():
        assert scores[epoch][figure] == max(row[figure] for row in rows)
        again = evaluate_model(kept, test_set)["mean"][figure]
        assert again == pytest.approx(scores[epoch][figure])
    result, kept, predictions, epochs = measure_best(tmp_path, test_set)
    assert epochs == tuple(epoch for _, epoch in best.values())
    for figure in ("image_auroc", "pixel_auroc"):
        assert result["mean"][figure] == pytest.approx(max(row[figure] for row in rows))
    assert len(predictions.scores) == len(test_set)
    assert kept.image_size == model.image_size


def test_an_epoch_that_is_repeated_is_written_once(test_set, tmp_path):
    model = tiny_model()
    callback = BestOnTestSet(test_set, tmp_path)
    model.fit(random_images(4), epochs=3, verbose=0, callbacks=[callback])
    model.fit(
        random_images(4), epochs=3, initial_epoch=1, verbose=0, callbacks=[callback]
    )
    assert [row["epoch"] for row in read_history(tmp_path)] == [1, 2, 3]


def test_without_such_a_run_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="Train with --test-every-epoch"):
        load_best(tmp_path)
