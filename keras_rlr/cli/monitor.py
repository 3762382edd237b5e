import contextlib
import json
from pathlib import Path

import click

from keras_rlr.atomic_file import check_writable, write_text
from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.model_location import load_run
from keras_rlr.cli.options import PLACE, Number, WholeNumber, json_option, model_option
from keras_rlr.cli.printing import say

_DRIFT = 3
_PAGE, _METRICS = "monitor.html", "metrics.prom"


@click.command()
@click.argument("scores_csv", nargs=-1, required=True, type=PLACE)
@model_option
@click.option(
    "--window",
    type=WholeNumber(min=20),
    default=100,
    show_default=True,
    help="Images of a window.",
)
@click.option(
    "--anomalous-share",
    type=Number(0, 0.5, max_open=True),
    default=0.05,
    show_default=True,
    help="Share of images that may be true anomalies without being called drift.",
)
@click.option(
    "--category",
    help="Judge this product alone: images of others, by the table or the nearest "
    "folder in their path that is called like one, are left out; those of which "
    "neither says it are taken for it [default: all products, each by itself].",
)
@click.option(
    "--output",
    type=PLACE,
    help="Folder for monitor.html and metrics.prom, which Prometheus reads.",
)
@click.option(
    "--fail-on-drift", is_flag=True, help=f"Exit with code {_DRIFT} where there is any."
)
@json_option
def command(
    scores_csv: tuple[str, ...],
    model: str,
    window: int,
    anomalous_share: float,
    category: str | None,
    output: str | None,
    fail_on_drift: bool,
    as_json: bool,
) -> None:
    """Say whether scores, light or focus have drifted since calibration.

    SCORES_CSV is what `keras-rlr predict` wrote, the table or its folder, or the
    Parquet files of its `--engine ray`, one, their folder or its address; of several,
    in their order, one series is made. Windows of consecutive images of each product
    are compared with the normal images that the model was calibrated on, by their
    scores, brightness and sharpness: drift is what unchanged images would look like in
    less than 1 of 100 tables.
    """
    if output is not None:
        check_writable(output)
    with _no_stale_files(output):
        found = _judge(scores_csv, model, window, anomalous_share, category, output)
    from keras_rlr.evaluation.drift.advice import advice

    for note in found.notes:
        say(note, err=True)
    if as_json:
        say(json.dumps(found.as_json(), indent=2))
    else:
        _print(found, advice(found))
        if output is not None:
            say(f"The page is {Path(output, _PAGE)}.")
    if found.drift and fail_on_drift:
        raise click.exceptions.Exit(_DRIFT)


@contextlib.contextmanager
def _no_stale_files(output):
    """Removes what an earlier call wrote if this one judges nothing."""
    try:
        yield
    except BaseException:
        files = [Path(output, name) for name in (_PAGE, _METRICS)] if output else []
        for file in filter(Path.is_file, files):
            # That it can't be removed is said beside the error, and does not hide it.
            try:
                file.unlink()
                say(f"'{file}' of an earlier call was removed.", err=True)
            except OSError as error:
                say(
                    f"'{file}' is of an earlier call and can't be removed "
                    f"({error.strerror}): it says nothing of these tables.",
                    err=True,
                )
        raise


def _judge(scores_csv, model, window, anomalous_share, category, output):
    """Compares the tables with calibration, and writes the page and the metrics."""
    from keras_rlr.evaluation.drift.scores_table import ScoresTable

    # Before the model is loaded, which takes longer.
    table = ScoresTable.read(scores_csv)
    start_backend()
    from keras_rlr.evaluation.drift.drift_page import drift_page
    from keras_rlr.evaluation.drift.monitor_scores import monitor_scores
    from keras_rlr.evaluation.drift.prometheus_text import prometheus_text

    calibration = load_run(model).thresholds.calibration_scores
    found = monitor_scores(table, calibration, window, anomalous_share, category)
    if output is not None:
        facts = {
            "tables": ", ".join(scores_csv),
            "model": model,
            "images of a window": window,
            "tolerated share of anomalies": anomalous_share,
            "category": category or "all",
            "images": found.images,
            "images without a score": found.failed,
            "images of no known product": found.unknown,
        }
        text = drift_page("keras-rlr monitor", found, calibration, facts)
        write_text(Path(output, _PAGE), text)
        write_text(Path(output, _METRICS), prometheus_text(found))
    return found


def _print(found, sentences):
    for window in found.windows:
        mark = "DRIFT" if window.drift else "as usual"
        figures = f"p {window.p_value:.2g}"
        if window.psi is not None:
            figures += (
                f", median {window.median:.4g} (usually {window.usual_median:.4g}), "
                f"PSI {window.psi:.2f} (by chance {window.psi_by_chance:.2f})"
            )
        else:
            figures += f", {window.beyond} images"
        title = window.title[:1].upper() + window.title[1:]
        say(
            f"{title}, images {window.first} to {window.last} ({window.images}): "
            f"{mark}; {figures}"
        )
    for sentence in sentences:
        say(sentence)
