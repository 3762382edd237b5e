from typing import Any

from keras_rlr.evaluation.predict_batch import images_at_once, predict_batch
from keras_rlr.evaluation.published_results import published_results
from keras_rlr.evaluation.report import cases, curves
from keras_rlr.evaluation.report.case_list import case_filter, case_style, case_viewer
from keras_rlr.evaluation.report.page import (
    Picture,
    confusion_table,
    escaped,
    facts_table,
    figure,
    page,
    paragraph,
    recognition_in_words,
    results_table,
    section,
)
from keras_rlr.evaluation.test_predictions import TestPredictions

_EXPLANATION = (
    "All figures in per cent. “mean” averages the categories; “pooled” ranks the "
    "images (or pixels) of all of them together, which asks for one threshold that "
    "suits every category."
)
_FALSE_COLOURS = (
    "Features are those of the coarsest level, in false colours: what the model can't "
    "rebuild changes its colour."
)
_AT_ONCE = 4
_PRINTED_WITH = {"RLR": "EfficientNet-B6, levels 1 to 3"}
_DECODED = (
    "The last two are pictures that a decoder, trained on normal images, makes of the "
    "image's features and of what the model rebuilt."
)


def report_html(
    title: str,
    model: Any,
    dataset: Any,
    predictions: TestPredictions,
    evaluation: dict[str, Any],
    decoder: Any = None,
) -> str:
    """The text of the report of an evaluation: one HTML page that loads nothing.

    Args:
        title: Its heading.
        model: The `RLR` model.
        dataset: The test set, a sequence of dicts.
        predictions: `TestPredictions` of the model on it.
        evaluation: What `metrics.json` holds, see `describe_evaluation`.
        decoder: The `FeatureDecoder` of the model's features, or None.
    """
    parts = [
        *_summary(type(model).__name__, predictions, evaluation),
        *_decisions(evaluation),
        *_curves(predictions, evaluation),
        *_cases(model, dataset, predictions, evaluation, decoder),
        section("What was used"),
        facts_table(_flat(evaluation)),
    ]
    return page(title, parts, case_style())


def _summary(method, predictions, evaluation):
    protocol = evaluation["protocol"]
    published = published_results(_counts(predictions), method)
    parts = [
        paragraph(protocol["words"], label=protocol["selected_on_test_set"]),
        paragraph(_EXPLANATION),
        results_table(evaluation, published),
    ]
    if "recognition" in evaluation:
        parts.append(paragraph(recognition_in_words(evaluation)))
    if published is not None:
        parts.append(
            paragraph(
                f"{published.method}: as printed in the paper of RLR "
                f"({_PRINTED_WITH.get(published.method, 'settings not given')}, one "
                f"model for all categories of {published.title})."
            )
        )
    return parts


def _counts(predictions):
    counts = {}
    for name in predictions.names:
        anomalous = int(predictions.labels[predictions.rows(name)].sum())
        counts[name] = (len(predictions.rows(name)) - anomalous, anomalous)
    return counts


def _decisions(evaluation):
    counts = evaluation["confusion"]
    if not counts:
        return [
            section("Decisions"),
            paragraph(
                "The model has no threshold yet: `keras-rlr calibrate` sets one from "
                "normal images."
            ),
        ]
    return [
        section("Decisions at the threshold"),
        confusion_table(counts, evaluation["thresholds"]),
        paragraph("Thresholds come from normal images that were held out alone."),
    ]


def _curves(predictions, evaluation):
    names = predictions.names
    points = {
        name: curves.curve_points(
            predictions.labels[predictions.rows(name)],
            predictions.scores[predictions.rows(name)],
        )
        for name in names
    }
    pixels = {
        name: curves.binned_curve_points(predictions.bins[name])
        if predictions.bins
        else curves.curve_points(
            predictions.masks[predictions.rows(name)],
            predictions.maps[predictions.rows(name)],
        )
        for name in names
        if name not in predictions.unmasked
    }
    parts = [section("Curves")]
    for kind, found in (("images", points), ("pixels", pixels)):
        defined = {name: curve for name, curve in found.items() if curve is not None}
        if defined:
            picture = Picture(curves.curves_figure(defined), f"Curves of {kind}.")
            parts.append(figure(picture))
    histograms = curves.histograms_figure(predictions, evaluation["thresholds"])
    caption = "Anomaly scores of normal and anomalous test images."
    return [*parts, section("Scores"), figure(Picture(histograms, caption))]


def _cases(model, dataset, predictions, evaluation, decoder):
    if not cases.rebuilds(model):
        panels, views = cases.PLAIN_PANELS, ""
    elif decoder is None:
        panels, views = cases.PANELS, _FALSE_COLOURS
    else:
        panels, views = cases.DECODED_PANELS, _DECODED
    names, thresholds = predictions.names, evaluation["thresholds"]
    errors = cases.errors_shown(len(names))
    more = f" After them come up to {errors} more of each kind of error."
    has_decisions = any(thresholds.get(name) is not None for name in names)
    yield section("Worst and best cases")
    yield paragraph(
        f"From left to right: {panels}. The map's colours begin just below the "
        f"category's threshold; the true defect is outlined. {views}"
        f"{more if has_decisions else ''}"
    )
    yield case_filter(names, has_decisions)
    for name in names:
        yield f'<h3 data-category="{escaped(name)}">{escaped(name)}</h3>\n'
        threshold = thresholds.get(name)
        chosen = cases.choose_cases(predictions, name, 1, threshold, errors)
        # A few at a time, for images may be large.
        at_once = images_at_once(model, _AT_ONCE)
        for start in range(0, len(chosen), at_once):
            some = chosen[start : start + at_once]
            yield from _figures(
                model, dataset, predictions, some, name, threshold, decoder
            )
    yield case_viewer()


def _figures(model, dataset, predictions, chosen, name, threshold, decoder):
    indices = [case.index for case in chosen]
    elements = [dataset[index] for index in indices]
    if predictions.maps is None:
        images = [element["image"] for element in elements]
        where = {"look": predictions.look, "positions": indices}
        maps = predict_batch(model, images, len(images), **where)["anomaly_map"]
    else:
        maps = predictions.maps[indices]
    scale = cases.category_scale(predictions, name, threshold)
    scores = predictions.scores[indices]
    pictures = cases.draw_cases(model, elements, maps, scores, scale, decoder)
    for case, element, picture in zip(chosen, elements, pictures, strict=True):
        score = predictions.scores[case.index]
        where = element.get("path", f"image {case.index}")
        decision = f", {case.decision}" if case.decision else ""
        caption = f"{case.title}, {score:.3f}{decision} ({where})"
        facts = {"category": name, "decision": case.decision or ""}
        yield figure(Picture(picture, caption), **facts)


def _flat(evaluation):
    facts = {}
    for group in ("protocol", "model", "training", "data", "environment"):
        for key, value in (evaluation.get(group) or {}).items():
            if isinstance(value, dict):
                value = ", ".join(f"{k} {v}" for k, v in value.items() if v)
            facts[f"{group}: {key.replace('_', ' ')}"] = value
    return facts
