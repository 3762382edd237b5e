import json

import numpy as np
import pytest
from scipy.stats import binom

from keras_rlr.detectors.calibration_scores import MOST_KEPT, CalibrationScores
from keras_rlr.evaluation.drift.advice import advice
from keras_rlr.evaluation.drift.drift_page import drift_page
from keras_rlr.evaluation.drift.monitor_scores import monitor_scores
from keras_rlr.evaluation.drift.prometheus_text import prometheus_text
from keras_rlr.evaluation.drift.scored_row import ScoredRow
from keras_rlr.evaluation.drift.scores_table import ScoresTable

pytestmark = pytest.mark.backend_independent

RANDOM = np.random.default_rng(0)


def drawn(count, factor=1.0):
    return factor * RANDOM.gamma(4.0, size=count)


@pytest.fixture(scope="module")
def calibration():
    # Scores of one product are ten times those of the other.
    scores = CalibrationScores(name="calibration_scores")
    all_scores = np.r_[drawn(60), drawn(60, 10.0), drawn(5)]
    scores.set(all_scores, ["nut"] * 60 + ["bolt"] * 60 + ["few"] * 5)
    return scores


def rows(scores, category="", folder="a"):
    return [
        ScoredRow(f"{folder}/{i}.png", s, "", category) for i, s in enumerate(scores)
    ]


def measured(random, count, light=1.0, focus=1.0, anomalous=0.0):
    """Scores, brightness and sharpness of images that depend on each other.

    Anomalies have high scores, and are brighter or darker.
    """
    exposure, texture = random.normal(size=(2, count))
    strange = random.random(count) < anomalous
    side = np.where(random.random(count) < 0.5, 0.3, -0.3)
    scores = np.exp(0.3 * texture + 0.2 * exposure) + 9 * strange
    brightness = light * (0.5 + 0.05 * exposure) + side * strange
    sharpness = focus * np.exp(0.2 * texture)
    return scores, {"brightness": brightness, "sharpness": sharpness}


def measured_rows(values, category="nut"):
    scores, measures = values
    return [
        ScoredRow(
            *(f"a/{i}.png", score, "", category),
            {name: column[i] for name, column in measures.items()},
        )
        for i, score in enumerate(scores)
    ]


def measured_calibration(random, count=80):
    kept = CalibrationScores(name="calibration_scores")
    scores, measures = measured(random, count)
    kept.set(scores, ["nut"] * count, measures)
    return kept


@pytest.mark.parametrize(
    ("calibrated", "windows", "anomalous"), [(20, 1, 0.0), (80, 3, 0.04)]
)
def test_of_all_quantities_together_few_tables_are_false_alarms(
    calibrated, windows, anomalous
):
    random, trials, found = np.random.default_rng(3), 150, 0
    for _ in range(trials):
        kept = measured_calibration(random, calibrated)
        now = measured(random, 100 * windows, anomalous=anomalous)
        table = ScoresTable(measured_rows(now), False)
        drift = monitor_scores(table, kept, category="nut")
        assert len(drift.windows) == 3 * windows
        found += drift.drift
    assert found <= binom.ppf(0.999, trials, 0.01)


def test_light_and_focus_that_change_are_told_from_each_other():
    random = np.random.default_rng(0)
    kept = measured_calibration(random)
    for changed, quantity, words in (
        ({"light": 0.8}, "brightness", "% darker than in calibration: look at the l"),
        ({"light": 1.2}, "brightness", "% brighter than in calibration: look at the"),
        (
            {"focus": 0.7},
            "sharpness",
            "% less sharp than in calibration: look at the f",
        ),
    ):
        values = measured(random, 100, **changed)
        table = ScoresTable(measured_rows(values), True)
        found = monitor_scores(table, kept)
        assert [w.test for w in found.windows if w.drift] == [quantity]
        assert advice(found)[0].startswith("Images of nut are ")
        assert words in advice(found)[0]
        assert not found.notes
        page = drift_page("monitor", found, kept, {})
        assert page.count("<img") == 6
        assert f"<h2>{quantity.capitalize()}</h2>" in page
        text = prometheus_text(found)
        label = f'category="nut",quantity="{quantity}"'
        assert f"keras_rlr_drift_last_window{{{label}}} 1.0\n" in text


def test_tables_and_models_without_measures_are_judged_by_scores(calibration):
    random = np.random.default_rng(0)
    kept = measured_calibration(random)
    values = measured(random, 100, light=0.5)
    without = ScoresTable(rows(values[0], "nut"), False)
    for table, scores, words in (
        (without, kept, "table has no brightness and sharpness"),
        (ScoresTable(measured_rows(values), False), calibration, "Calibrate it again"),
    ):
        found = monitor_scores(table, scores, category="nut")
        assert {w.test for w in found.windows} == {"scores"}
        assert any(words in note for note in found.notes)
    # Of a table of both what is there is compared.
    both = ScoresTable([*without.rows[:50], *measured_rows(values)], False)
    found = monitor_scores(both, kept, window=50, category="nut")
    assert [(w.test, w.first) for w in found.windows] == [
        *(("scores", first) for first in (1, 51, 101)),
        *((name, first) for name in ("brightness", "sharpness") for first in (51, 101)),
    ]
    assert "50 of 150 images have no brightness or sharpness" in found.notes[0]


def test_how_images_of_no_known_product_look():
    random = np.random.default_rng(0)
    kept = measured_calibration(random)
    values = measured(random, 100, light=0.4)
    table = ScoresTable(measured_rows(values, "(unknown)"), True)
    found = monitor_scores(table, kept)
    assert found.drift
    assert "The images of no known product are 61 % darker" in found.notes[1]


def mixed(*groups):
    """Rows of groups of the same length, in turn."""
    return [row for together in zip(*groups, strict=True) for row in together]


def test_products_are_judged_by_themselves(calibration):
    table = mixed(
        rows(drawn(250), "nut"), rows(np.r_[drawn(100, 10), drawn(150, 20)], "bolt")
    )
    found = monitor_scores(ScoresTable(table, True), calibration)
    windows = [(w.category, w.images, w.drift) for w in found.windows[:6]]
    assert windows == [
        *(("bolt", 100, False), ("bolt", 100, True), ("bolt", 50, True)),
        *(("nut", 100, False), ("nut", 100, False), ("nut", 50, False)),
    ]
    assert [w.test for w in found.windows[6:]] == ["unknown_products"] * 5
    assert all(w.limit == 0.01 / 11 for w in found.windows)
    assert (found.windows[1].first, found.windows[1].last) == (202, 400)
    assert found.windows[1].first_path == "a/100.png"
    as_json = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert list(as_json) == ["drift", "windows"]
    assert as_json["drift"] is True
    assert as_json["windows"][1]["drift"] is True
    first, what = advice(found)
    assert (
        "The scores of bolt have drifted. Drift in 2 of 3 windows, first in that from "
        "image 202 on" in first
    )
    assert "calibrate again" in what


def test_drift_that_has_passed(calibration):
    table = rows(np.r_[drawn(100), drawn(100, 3), drawn(100)], "nut")
    found = monitor_scores(ScoresTable(table, True), calibration)
    assert [w.drift for w in found.windows[:3]] == [False, True, False]
    assert "has passed by the last window" in advice(found)[0]
    assert "before you calibrate again" in advice(found)[1]


def test_images_of_no_known_product_are_drift_if_they_are_many(calibration):
    table = rows(drawn(100), "nut") + rows(drawn(100), "(unknown)")
    found = monitor_scores(ScoresTable(table, True), calibration)
    assert [w.drift for w in found.windows] == [False, False, True]
    assert (found.unknown, found.windows[2].beyond) == (100, 100)
    assert "100 of 200 images show no product" in found.notes[0]
    assert "no product that the model knows" in advice(found)[0]


def test_what_is_not_judged_is_announced(calibration):
    table = [
        ScoredRow("b.png", float("nan"), "not an image"),
        *rows(drawn(110), "nut"),
        *rows(drawn(30), "few"),
        *rows(drawn(30), "stranger"),
    ]
    found = monitor_scores(ScoresTable(table, True), calibration)
    assert [w.images for w in found.windows if w.test == "scores"] == [100]
    assert found.failed == 1
    text = " ".join(found.notes)
    assert "1 of 171 images have no score" in text
    assert "'b.png': not an image" in text
    assert "The last 10 images of nut are not judged" in text
    assert "30 images of few are not judged: the model was calibrated on 5" in text
    assert "30 images of stranger are not judged" in text


def test_products_without_a_column(calibration):
    scores = drawn(40)
    table = ScoresTable(rows(scores, folder="line 1/nut"), False)
    by_folder = monitor_scores(table, calibration)
    assert [w.category for w in by_folder.windows] == ["nut"]
    table = ScoresTable(rows(scores), False)
    given = monitor_scores(table, calibration, category="nut")
    assert given.windows[0].p_value == by_folder.windows[0].p_value
    unknown = monitor_scores(table, calibration)
    assert unknown.windows[0].category is None
    assert "Give --category" in unknown.notes[0]


def test_one_product_of_a_table_is_judged_as_if_it_were_alone(calibration):
    nuts, bolts = rows(drawn(60), "nut"), rows(drawn(60, 10), "bolt")
    strange = rows(drawn(5), "(unknown)")
    by_folder = rows(drawn(3), folder="line 1/bolt")
    not_said = rows(drawn(4))
    table = ScoresTable([*bolts, *nuts, *strange, *by_folder, *not_said], True)
    found = monitor_scores(table, calibration, category="nut")
    only = [*nuts, *rows([row.score for row in not_said], "nut")]
    alone = monitor_scores(ScoresTable(only, False), calibration)
    assert not found.drift
    assert [w.p_value for w in found.windows] == [w.p_value for w in alone.windows]
    assert (found.images, found.failed, found.unknown) == (64, 0, 0)
    assert found.notes[0] == (
        "68 of 132 images are left out, since they do not show nut by the table or a "
        "folder in their path: 5 of (unknown), 63 of bolt."
    )
    with pytest.raises(ValueError, match="60 of bolt. Nothing is left to judge"):
        monitor_scores(ScoresTable(bolts, True), calibration, category="nut")


def test_what_can_not_be_judged_is_refused(calibration):
    few = ScoresTable(rows(drawn(19), "nut"), True)
    with pytest.raises(ValueError, match="None of the 19 images can be judged"):
        monitor_scores(few, calibration)
    # That they all show known products is no word on their scores.
    of_few = ScoresTable(rows(drawn(60), "few"), True)
    with pytest.raises(ValueError, match="None of the 60 images can be judged"):
        monitor_scores(of_few, calibration)
    with pytest.raises(ValueError, match="on no images of 'screw'"):
        monitor_scores(few, calibration, category="screw")
    with pytest.raises(ValueError, match="Calibrate it again"):
        monitor_scores(few, CalibrationScores(name="calibration_scores"))


def test_page_and_metrics_hold_any_name():
    name = 'a"b\\c\n$d <b>\x1b'
    scores = CalibrationScores(name="calibration_scores")
    scores.set(drawn(40), [name] * 40)
    table = ScoresTable(rows(drawn(60, 9), name) + rows(drawn(60)), True)
    found = monitor_scores(table, scores)
    page = drift_page("monitor", found, scores, {"model": "run"})
    assert page.count("<img") == 2
    assert "<b>" not in page
    assert "\x1b" not in page
    assert page.count("<tr>") == len(found.windows) + 2
    text = prometheus_text(found)
    assert "keras_rlr_drift 1\n" in text
    assert 'keras_rlr_drift_images{state="scored"} 120\n' in text
    label = 'a\\"b\\\\c\\\\n$d <b>\\\\x1b'
    assert (
        f'keras_rlr_drift_last_window{{category="{label}",quantity="scores"}} 1.0\n'
        in text
    )
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0


def test_of_very_many_scores_quantiles_are_kept():
    scores = CalibrationScores(name="calibration_scores")
    values = RANDOM.permutation(10 * MOST_KEPT).astype("float32")
    scores.set(values, [None] * len(values))
    kept = scores.of(None)
    assert len(kept) == MOST_KEPT
    np.testing.assert_allclose(np.diff(kept), 10)
    np.testing.assert_allclose(np.median(kept), np.median(values), atol=1)
