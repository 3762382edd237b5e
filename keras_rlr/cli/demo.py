import json
from pathlib import Path

import click

from keras_rlr.atomic_file import check_writable
from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.options import AT_LEAST_ONE, PLACE, SEED, json_option
from keras_rlr.cli.printing import say

_PRESET = "rlr_efficientnet_lite2"
# Fewer than the recipe's, whose rate falls to nothing in as many as there are.
_EPOCHS = 7
_NORMAL_PICTURES, _ANOMALOUS_PICTURES = 2, 4


@click.command()
@click.option(
    "--output",
    type=PLACE,
    default="keras-rlr-demo",
    show_default=True,
    help="Folder for data, run and report.",
)
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Of the painted images and of everything random.",
)
@click.option(
    "--epochs", type=AT_LEAST_ONE, help=f"Passes over the images [default: {_EPOCHS}]."
)
@json_option
def command(output: str, seed: int, epochs: int | None, as_json: bool) -> None:
    """Train and evaluate offline on painted products, in minutes.

    Writes a data set of six products, trains the offline preset on all of them,
    evaluates it and writes report.html. Run again, it goes on where it stopped.
    """
    folder = Path(output)
    check_writable(folder)
    start_backend()
    from keras_rlr.cli.evaluate import print_result
    from keras_rlr.cli.progress import image_progress, training_progress
    from keras_rlr.datasets import FolderDataset, write_procedural_dataset
    from keras_rlr.evaluation.describe_evaluation import describe_evaluation
    from keras_rlr.evaluation.evaluate_model import measure
    from keras_rlr.evaluation.result_file import result_as_json
    from keras_rlr.evaluation.test_predictions import predict_test_set
    from keras_rlr.evaluation.write_evaluation import write_evaluation
    from keras_rlr.training import TrainingInterrupted, train

    data, run_folder = folder / "data", folder / "run"
    if not data.is_dir():
        say(f"Painting the data set into {data}.", err=True)
        write_procedural_dataset(data, seed=seed)
    try:
        with training_progress() as progress:
            run = train(
                data,
                run_folder,
                preset=_PRESET,
                seed=seed,
                epochs=epochs or _EPOCHS,
                resume=(run_folder / "config.json").is_file(),
                callbacks=[progress],
            )
    except TrainingInterrupted:
        say("Run the same command again to go on.", err=True)
        raise
    test = FolderDataset(data, "test")
    model = run["model"]
    with image_progress("evaluating") as on_progress:
        predictions = predict_test_set(model, test, on_progress=on_progress)
    measured = measure(predictions)
    evaluation = describe_evaluation(
        model, test, predictions, measured, run=run["config"]
    )
    title = f"keras-rlr demo: {_PRESET}, one model for all categories"
    report = folder / "report.html"
    if as_json:
        summary = {"report": str(report), "model": str(run_folder / "model.keras")}
        say(json.dumps({**summary, **json.loads(result_as_json(evaluation))}))
    else:
        print_result(evaluation)
    write_evaluation(folder, title, model, test, predictions, evaluation)
    _draw(model, test, predictions, folder)
    if not as_json:
        say(f"The pictures are in {folder / 'overlays'} and {report}.")


def _draw(model, test, predictions, output):
    """Overlays of some normal and some anomalous test images of every category."""
    from keras_rlr.atomic_file import atomic_path
    from keras_rlr.evaluation import HeatScale, draw_overlay
    from keras_rlr.evaluation.written_files import OVERLAYS, WrittenFiles

    places = {
        i: (output / OVERLAYS / test.samples[i].path).with_suffix(".png")
        for category in test.categories
        for i in _some_of(test.samples, category)
    }
    # So that nobody takes them for photographs.
    WrittenFiles(output).replace(places.values())
    for i, path in places.items():
        element = test[i]
        threshold = model.thresholds.of(element["category"])
        picture = draw_overlay(
            element["image"],
            predictions.maps[i],
            HeatScale.of_threshold(threshold),
            element["mask"] if element["label"] else None,
            bit_depth=model.bit_depth,
            score=predictions.scores[i],
        )
        with atomic_path(path) as temporary:
            picture.save(temporary)


def _some_of(samples, category):
    normal: list[int] = []
    by_defect: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        if sample.category == category and sample.label:
            by_defect.setdefault(sample.defect_type, []).append(i)
        elif sample.category == category:
            normal.append(i)
    # The first of every kind of defect before the second of any.
    anomalous = sorted(
        (place, i) for of_kind in by_defect.values() for place, i in enumerate(of_kind)
    )
    return normal[:_NORMAL_PICTURES] + [i for _, i in anomalous[:_ANOMALOUS_PICTURES]]
