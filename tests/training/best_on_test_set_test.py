import json
import shutil

import numpy as np
import pytest

from keras_rlr.datasets import write_procedural_dataset
from keras_rlr.evaluation import evaluate_model
from keras_rlr.training.best_on_test_set import (
    CHOSEN_BY,
    BestOnTestSet,
    load_best,
    merge_best,
    read_history,
)
from tests.tiny_model import random_images, tiny_model

pytestmark = pytest.mark.backend_independent


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
    best = dict(zip(CHOSEN_BY, load_best(tmp_path), strict=True))
    for figure, (kept, epoch) in best.items():
        assert scores[epoch][figure] == max(row[figure] for row in rows)
        again = evaluate_model(kept, test_set)["mean"][figure]
        assert again == pytest.approx(scores[epoch][figure])


def test_each_figure_comes_from_the_model_chosen_by_its_kind():
    def result(image, pixel):
        figures = {"image_auroc": image, "image_ap": image, "pixel_aupro": pixel}
        return {"categories": {"a": figures}, "mean": figures, "pooled": figures}

    assert merge_best(result(0.9, 0.1), result(0.2, 0.8)) == result(0.9, 0.8)


def test_a_resumed_run_is_tested_on_its_own_categories(tmp_path):
    data = write_procedural_dataset(
        tmp_path / "data", image_size=64, train_per_category=1, test_normal=1,
        test_anomalous=1, categories=["gear", "wood"],
    )  # fmt: skip
    run = tmp_path / "run"
    assert len(BestOnTestSet.of_run(run, data).dataset) == 4
    run.mkdir()
    config = {"settings": {"categories": ["wood"]}}
    (run / "config.json").write_text(json.dumps(config))
    assert BestOnTestSet.of_run(run, data).dataset.categories == ("wood",)


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


def remove(data, pattern):
    for file in data.glob(pattern):
        file.unlink()


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (["*/test/*[!d]/*", "*/ground_truth/*/*"], "with both normal and anomalous"),
        (["*/test/good/*"], "with both normal and anomalous"),
        (["*/ground_truth/*/*"], "masks of the anomalous images"),
    ],
)
def test_a_test_set_that_defines_nothing_to_select_by_is_refused(
    tmp_path, removed, message
):
    data = write_procedural_dataset(
        tmp_path / "data", image_size=64, train_per_category=2, test_normal=1,
        test_anomalous=2, categories=["gear", "wood"],
    )  # fmt: skip
    for pattern in removed:
        remove(data, pattern)
    for folder in data.glob("*/ground_truth"):
        if not any(folder.rglob("*.png")):
            shutil.rmtree(folder)
    with pytest.raises(ValueError, match=f"lacks .*{message}.*--test-every-epoch"):
        BestOnTestSet.of_run(tmp_path / "run", data)


def test_black_masks_select_nothing(test_set, tmp_path):
    black = [{**element, "mask": np.zeros((32, 32))} for element in test_set]
    callback = BestOnTestSet(black, tmp_path)
    callback.set_model(tiny_model())
    with (
        pytest.warns(UserWarning, match="Figures are NaN for a"),
        pytest.raises(ValueError, match="mean pixel_auroc of the test set is not"),
    ):
        callback.on_epoch_end(0)
    assert not any(tmp_path.iterdir())
