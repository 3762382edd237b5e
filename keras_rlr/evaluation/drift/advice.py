"""What drift looks like and what to do about it, in sentences."""

from keras_rlr.evaluation.drift.drift import Drift
from keras_rlr.evaluation.drift.drift_window import SCORES, UNKNOWN_PRODUCTS

_LEAST = 0.005  # that rounds to one per cent
_WORDS = {
    "brightness": (
        *("darker", "brighter"),
        "look at the lamp, the exposure and the lens",
    ),
    "sharpness": (
        *("less sharp", "sharper, or noisier,"),
        "look at the focus, the lens and whether parts or camera move",
    ),
}
_WHAT_TO_DO = (
    "Look at these images. If lamp, camera, fixture or parts have changed and are to "
    "stay so, calibrate again on normal images of now (`keras-rlr calibrate --model "
    "RUN --data NORMAL_IMAGES`), and check with labelled images that defects are still "
    "found; train again if not. If they have not changed for good, put that right "
    "and leave the model as it is."
)


def advice(drift: Drift) -> list[str]:
    """Sentences that say what has drifted, how and from when on, and what to do.

    Args:
        drift: What `monitor_scores` returned.
    """
    if not drift.drift:
        return ["No drift: there is no need to calibrate again."]
    sentences, lasts = [], False
    kinds = dict.fromkeys((w.test, w.category) for w in drift.windows if w.drift)
    for test, category in kinds:
        windows = [w for w in drift.windows if (w.test, w.category) == (test, category)]
        drifted = [window for window in windows if window.drift]
        first, is_last = drifted[0], windows[-1].drift
        lasts |= is_last
        where = f"from image {first.first} on ('{first.first_path}')"
        where = f"{len(drifted)} of {len(windows)} windows, first in that {where}"
        ends = "" if is_last else "; it has passed by the last window"
        if test == UNKNOWN_PRODUCTS:
            what = "Too many images show no product that the model knows"
        elif test == SCORES:
            what = f"The {first.title} have drifted"
        else:
            last = drifted[-1]
            images = "Images" if category is None else f"Images of {category}"
            words = difference_in_words(test, last.median, last.usual_median)
            what = f"{images} {words}"
        sentences.append(f"{what}. Drift in {where}{ends}.")
    if lasts:
        sentences.append(_WHAT_TO_DO)
    else:
        sentences.append(
            "The last windows are as usual again: find out what was different then, "
            "before you calibrate again."
        )
    return sentences


def difference_in_words(measure: str, median: float | None, usual: float | None) -> str:
    """Says of images how they differ, as in "are 20 % darker than in calibration".

    Args:
        measure: Name of what was measured.
        median: Its median of these images.
        usual: The same of calibration.
    """
    median, usual = median or 0.0, usual or 0.0
    lower, higher, where_to_look = _WORDS[measure]
    share = median / usual - 1 if usual else float(median > 0)
    if abs(share) < _LEAST:
        return (
            f"vary in {measure} otherwise than in calibration, around the same median: "
            f"{where_to_look}"
        )
    word = lower if share < 0 else higher
    return f"are {abs(share):.0%} {word} than in calibration: {where_to_look}".replace(
        "%", " %"
    )
