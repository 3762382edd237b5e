import contextlib
import json
from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.change_products import change_products
from keras_rlr.cli.data_location import data_location
from keras_rlr.cli.options import (
    AT_LEAST_ONE,
    IMAGE_SIZE,
    LEVELS,
    PLACE,
    SEED,
    TILES,
    WHOLE_NUMBERS,
    Number,
    arguments_option,
    bit_depth_option,
    categories_option,
    data_options,
    feature_cache_option,
    json_option,
    large_images_option,
    method_option,
    optional_weights,
)
from keras_rlr.cli.printing import say
from keras_rlr.cli.region import read_region, region_options


@click.command()
@data_options
@click.option(
    "--add",
    type=PLACE,
    metavar="DIR",
    help="Add the products of the data set in this folder to the run of --model.",
)
@click.option(
    "--feedback",
    type=PLACE,
    metavar="CSV",
    help="Have the run of --model learn false alarms: the scores.csv or Parquet of "
    "`predict` with a column verdict; normal is learned, anomalous never.",
)
@click.option(
    "--feedback-images",
    type=PLACE,
    metavar="DIR",
    help="Folder that the paths in --feedback are below: the one `predict` was given "
    "[default: the table's own].",
)
@click.option(
    "--remove",
    metavar="CATEGORY",
    help="Take a product out of the run of --model.",
)
@click.option(
    "--model",
    type=PLACE,
    help="With --add, --feedback or --remove: the folder of the finished run. --data "
    "is then where its own images are now, if they were moved, and --output a folder "
    "for the changed run [default: the run itself; its folder `before` keeps it].",
)
@click.option(
    "--output",
    type=PLACE,
    help="Folder of the run [default: runs/NAME, by the name of the data set or of its "
    "folder].",
)
@categories_option
@method_option
@click.option(
    "--preset",
    help="Settings by name; `keras-rlr info` lists them [default: the one that suits "
    "--method and --backbone].",
)
@click.option(
    "--backbone",
    help="efficientnet_b0 … b7, efficientnet_lite2 (offline), dinov2_small, … "
    "[default: the preset's, or efficientnet_b6, whose weights are downloaded].",
)
@click.option(
    "--backbone-weights",
    callback=optional_weights,
    help="imagenet (the pretrained ones), the path of a weights file, or none for "
    "random ones.",
)
@click.option(
    "--levels",
    type=LEVELS,
    metavar="LEVELS",
    help="Feature levels: 2,3. Of a vision transformer blocks, and groups of them "
    "whose mean is one level: 3-6,7-10 or 5+7,9+11.",
)
@click.option("--hidden-dims", type=WHOLE_NUMBERS, help="Width a level: 256,512.")
@click.option(
    "--image-size",
    type=IMAGE_SIZE,
    help="What images are resized to: the side of a square, 256, or HEIGHTxWIDTH, "
    "256x640 [default: the preset's, or 256].",
)
@click.option(
    "--tiles",
    type=TILES,
    help="Look at images in ROWSxCOLUMNS overlapping tiles of --image-size, 2x5, for "
    "defects that are small beside the image.",
)
@click.option(
    "--overlap",
    type=float,
    help="Of neighbouring tiles: a share of a tile's side, or pixels [default: 0.25].",
)
@click.option(
    "--tiles-aligned/--no-tiles-aligned",
    default=None,
    help="Learn what is normal for each tile by itself: for parts that lie in one "
    "position (RLR, PaDiM).",
)
@click.option(
    "--standardize-features/--no-standardize-features",
    default=None,
    help="Bring every feature channel to mean 0 and variance 1.",
)
@click.option(
    "--fuse-levels/--no-fuse-levels",
    default=None,
    help="Reconstruct all levels at once, in the coarsest one's grid.",
)
@click.option(
    "--coreset-ratio",
    type=Number(min=0, max=1),
    help="Share of the patches that a memory bank keeps.",
)
@click.option("--noise-scale", type=Number(min=0), help="Noise on the features.")
@click.option(
    "--recipe",
    type=click.Choice(["default", "paper"]),
    help="Length, batch size and learning rate.",
)
@click.option(
    "--epochs",
    type=AT_LEAST_ONE,
    help="Passes over the images [default: the recipe's].",
)
@click.option(
    "--batch-size",
    type=AT_LEAST_ONE,
    help="Images a step, of all devices together [default: the recipe's].",
)
@click.option(
    "--learning-rate",
    type=Number(min=0, min_open=True),
    help="Of Adam; where the recipe lowers its rate in time, this one is lowered alike "
    "[default: the recipe's].",
)
@click.option("--seed", type=SEED, help="Of everything random [default: 0].")
@click.option(
    "--calibration-fraction",
    type=Number(min=0, max=1, max_open=True),
    help="Share of the images held out to set the threshold [default: 0.1; 0: none].",
)
@bit_depth_option
@region_options
@large_images_option
@feature_cache_option
@click.option(
    "--anomaly-source",
    type=PLACE,
    help="Of --method draem: folder of images that anomalies in training are taken "
    "from, such as DTD [default: the package paints textures].",
)
@click.option("--distribution", type=AT_LEAST_ONE, help="Number of devices.")
@click.option(
    "--checkpoint-every",
    type=AT_LEAST_ONE,
    metavar="STEPS",
    help="Keep a checkpoint inside of epochs too, every so many steps and at a signal; "
    "--resume goes on from there. They are removed when the run is done.",
)
@click.option(
    "--keep-checkpoints",
    type=AT_LEAST_ONE,
    metavar="NUMBER",
    help="How many of those are kept, the newest [default: 2].",
)
@click.option("--resume", is_flag=True, help="Continue the run in --output.")
@click.option(
    "--test-every-epoch",
    is_flag=True,
    help="Keep the models that are best on the test set too, as the paper's authors "
    "select them, for `evaluate --protocol best-on-test-set`.",
)
@arguments_option
@json_option
def command(
    add,
    feedback,
    feedback_images,
    remove,
    model,
    data,
    dataset,
    data_dir,
    output,
    resume,
    test_every_epoch,
    as_json,
    arguments,
    roi,
    ignore,
    **settings,
):
    """Train one model on all categories of a data set.

    The run's folder gets model.keras, history.csv, config.json, environment.json and
    images.csv, which says what each image was used for; a checkpoint is kept after
    every epoch, or every --checkpoint-every steps. Ctrl-C stops it, --resume goes on.

    Started alike in several processes, by torchrun or with Keras' variables
    KERAS_DISTRIBUTION_*, it trains one model on the devices of all.

    `--add DIR --model RUN` adds the products of DIR to a finished run, `--feedback CSV
    --model RUN` has it learn false alarms, and `--remove CATEGORY --model RUN` takes a
    product out.
    """
    changes = {
        "add": add,
        "remove": remove,
        "feedback": feedback,
        "feedback_images": feedback_images,
        "model": model,
    }
    if any(value is not None for value in changes.values()):
        options = {"output": output, "old_data": data, "as_json": as_json}
        more = ("categories", "epochs", "feature_cache")
        change_products(**changes, **options, **{name: settings[name] for name in more})
        return
    location = data_location(data, dataset, data_dir)
    start_backend(with_others=True)
    from keras_rlr import processes
    from keras_rlr.cli.calibrate import held_out_in_words
    from keras_rlr.cli.progress import training_progress
    from keras_rlr.training import TrainingInterrupted, train
    from keras_rlr.training.best_on_test_set import BestOnTestSet

    for name, value in arguments.items():
        if settings.get(name) is not None:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"`{name}` is given by {option} and by --set.")
        settings[name] = value
    if not (roi is None and ignore is None):
        if "region_of_interest" in arguments:
            raise click.UsageError("Where to look is given by an option and by --set.")
        settings["region_of_interest"] = read_region(roi, ignore)
    output = output or location.run
    callbacks = []
    if test_every_epoch:
        categories = settings["categories"]
        callbacks.append(BestOnTestSet.of_run(output, location.folder, categories))
    try:
        with contextlib.ExitStack() as stack:
            # Of several processes one speaks to the user.
            if processes.is_writer():
                callbacks.insert(0, stack.enter_context(training_progress()))
            run = train(
                location.folder,
                output,
                resume=resume,
                callbacks=callbacks,
                **settings,
            )
    except TrainingInterrupted:
        if processes.is_writer() and Path(output, "config.json").is_file():
            say(f"The run is in {output}: --resume continues it.", err=True)
        raise
    if not processes.is_writer():
        return
    config, history = run["config"], run["history"]
    summary = {
        "output": str(output),
        "epochs": len(history),
        "loss": history[-1]["loss"],
        "seconds": sum(row["seconds"] for row in history),
        "training_images": config["data"]["training_images"],
        "calibration": config["calibration"],
        "stored": run["model"].described_size,
        "anomaly_source": config["model"].get("anomaly_source"),
    }
    if as_json:
        say(json.dumps(summary, indent=2))
        return
    epochs = "1 epoch" if summary["epochs"] == 1 else f"{summary['epochs']} epochs"
    say(
        f"Trained on {summary['training_images']} images for {epochs}; the loss is "
        f"{summary['loss']:.4f}."
    )
    if summary["anomaly_source"]:
        say(f"The anomalies it learned from: {summary['anomaly_source']}.")
    if summary["stored"]:
        say(f"The model holds {summary['stored']}.")
    if config["calibration"]:
        for line in held_out_in_words(config["calibration"], run["model"]):
            say(line)
    say(f"The model is in {output}.")
