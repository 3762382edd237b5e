import json
from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.options import AT_LEAST_ONE, json_option

_PRESET = "rlr_efficientnet_lite2"
# Few images and few steps: a faster rate than the recipe's gets there in minutes.
_EPOCHS, _LEARNING_RATE = 9, 5e-4
_NORMAL_PICTURES, _ANOMALOUS_PICTURES = 2, 4


@click.command()
@click.option(
    "--output",
    type=click.Path(),
    default="keras-rlr-demo",
    show_default=True,
    help="Folder for data, run and report.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--epochs", type=AT_LEAST_ONE, help=f"Passes over the images [default: {_EPOCHS}]."
)
@json_option
def command(output, seed, epochs, as_json):
    """Train and evaluate offline on painted products, in minutes.

    Writes a data set of six products, trains the offline preset on all of them,
    evaluates it and writes report.html. Run again, it goes on where it stopped.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"'{output}' is a file. Choose another --output.")
    start_backend()
    from keras_rlr.atomic_file import write_text
    from keras_rlr.cli.evaluate import print_result
    from keras_rlr.cli.progress import image_progress, training_progress
    from keras_rlr.datasets import FolderDataset, write_procedural_dataset
    from keras_rlr.evaluation import evaluate_model
    from keras_rlr.evaluation.report import report_html
    from keras_rlr.evaluation.result_file import result_as_json
    from keras_rlr.training import TrainingInterrupted, train

    data, run_folder = output / "data", output / "run"
    if not data.is_dir():
        click.echo(f"Painting the data set into {data}.", err=True)
        write_procedural_dataset(data, seed=seed)
    progress = training_progress()
    try:
        run = train(
            data,
            run_folder,
            preset=_PRESET,
            seed=seed,
            epochs=epochs or _EPOCHS,
            learning_rate=_LEARNING_RATE,
            resume=(run_folder / "config.json").is_file(),
            callbacks=[progress],
        )
    except TrainingInterrupted:
        click.echo("Run the same command again to go on.", err=True)
        raise
    finally:
        progress.close()
    test = FolderDataset(data, "test")
    with image_progress("evaluating") as on_progress:
        result = evaluate_model(run["model"], test, on_progress=on_progress)
    write_text(output / "metrics.json", result_as_json(result) + "\n")
    pictures = _draw(run["model"], test, output)
    report = output / "report.html"
    text = report_html("keras-rlr demo", _facts(run), result, pictures)
    write_text(report, text)
    if as_json:
        summary = {"report": str(report), "model": str(run_folder / "model.keras")}
        click.echo(json.dumps({**summary, **json.loads(result_as_json(result))}))
        return
    print_result(result)
    click.echo(f"The pictures are in {output / 'overlays'} and {report}.")


def _facts(run):
    config = run["config"]
    calibration = config["calibration"]
    seconds = sum(row["seconds"] for row in run["history"])
    return [
        f"One model ({_PRESET}) for all categories, trained on "
        f"{config['data']['training_images']} normal images for "
        f"{len(run['history'])} epochs in {seconds:.0f} seconds. AUROC in per cent; "
        "“pooled” ranks the images (or pixels) of all categories together.",
        f"The threshold, {calibration['threshold']:.3g}, is from "
        f"{calibration['images']} normal images held out, at a false-positive rate of "
        f"{calibration['false_positive_rate']:.3g}. Each picture shows an image and "
        "its anomaly map over it; all have one scale of colours. The true defect is "
        "outlined.",
    ]


def _draw(model, test, output):
    """Overlays of some normal and some anomalous test images of every category."""
    from keras_rlr.atomic_file import atomic_path
    from keras_rlr.evaluation import HeatScale, draw_overlay
    from keras_rlr.evaluation.report import Picture

    chosen = [
        i for category in test.categories for i in _some_of(test.samples, category)
    ]
    elements = [test[i] for i in chosen]
    predictions = model.predict([element["image"] for element in elements], verbose=0)
    scale = HeatScale.of_threshold(model.threshold)
    pictures = []
    for element, anomaly_map, score in zip(
        elements,
        predictions["anomaly_map"],
        predictions["anomaly_score"],
        strict=True,
    ):
        mask = element["mask"] if element["label"] else None
        picture = draw_overlay(element["image"], anomaly_map, scale, mask)
        path = output / "overlays" / element["path"]
        with atomic_path(path.with_suffix(".png")) as temporary:
            picture.save(temporary)
        verdict = "anomalous" if score >= model.threshold else "normal"
        caption = f"{element['defect_type']}: score {score:.2f}, called {verdict}"
        pictures.append(Picture(picture, element["category"], caption))
    return pictures


def _some_of(samples, category):
    normal, by_defect = [], {}
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
