"""The figures of drift as Prometheus reads them from a file."""

from collections.abc import Iterable

from keras_rlr.evaluation.drift.drift import Drift
from keras_rlr.evaluation.drift.drift_window import QUANTITIES, DriftWindow
from keras_rlr.printable import printable

# Images whose product is not known have an empty label: to Prometheus, none.
_ALL = ""


def prometheus_text(drift: Drift) -> str:
    """The text of a file in Prometheus' format, for node_exporter's textfile folder.

    Of each product and quantity (scores, brightness, sharpness) it has the last window,
    the one of now.

    Args:
        drift: What `monitor_scores` returned.
    """
    last: dict[tuple[str, str], DriftWindow] = {}
    for window in drift.windows:
        if window.test in QUANTITIES:
            category = _ALL if window.category is None else window.category
            last[category, window.test] = window
    parts = [
        _metric("drift", "Whether any window drifted.", [("", int(drift.drift))]),
        _metric(
            "drift_windows",
            "Number of windows that were judged, and of those that drifted.",
            [
                ('{result="judged"}', len(drift.windows)),
                ('{result="drifted"}', sum(w.drift for w in drift.windows)),
            ],
        ),
        _metric(
            "drift_images",
            "Number of images: scored, without a score, of no known product.",
            [
                ('{state="scored"}', drift.images - drift.failed),
                ('{state="failed"}', drift.failed),
                ('{state="unknown_product"}', drift.unknown),
            ],
        ),
    ]
    of_window = (
        ("drift_last_window", "Whether the last window of a product drifted.", "drift"),
        ("drift_p_value", "p-value of the last window.", "p_value"),
        ("drift_psi", "Population stability index of the last window.", "psi"),
        ("drift_median", "Median of the last window.", "median"),
        ("drift_usual_median", "Median of calibration.", "usual_median"),
    )
    for name, meaning, attribute in of_window:
        samples = [
            (_labels(*labels), float(getattr(window, attribute)))
            for labels, window in last.items()
        ]
        if samples:
            parts.append(_metric(name, meaning, samples))
    return "".join(parts)


def _metric(name: str, meaning: str, samples: Iterable[tuple[str, float]]) -> str:
    name = f"keras_rlr_{name}"
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
    lines += [f"{name}{labels} {value!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(category: str, quantity: str) -> str:
    text = printable(category)
    for character in ("\\", '"'):
        text = text.replace(character, "\\" + character)
    return f'{{category="{text}",quantity="{quantity}"}}'
