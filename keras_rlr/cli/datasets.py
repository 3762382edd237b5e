import json

import click

from keras_rlr.cli.options import PLACE, json_option
from keras_rlr.cli.printing import say


@click.group()
def command() -> None:
    """List, download and check published data sets."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the data sets that are known by name, and where they are."""
    from keras_rlr.datasets.catalogue import CATALOGUE
    from keras_rlr.datasets.prepare_dataset import default_folder, is_prepared

    rows = []
    for name, dataset in CATALOGUE.items():
        folder = default_folder(name)
        counts = [sum(column) for column in zip(*dataset.counts.values(), strict=True)]
        rows.append(
            {
                "name": name,
                "categories": list(dataset.counts),
                "training_images": counts[0],
                "test_images": counts[1] + counts[2],
                "licence": dataset.licence,
                "homepage": dataset.homepage,
                "folder": str(folder) if is_prepared(folder) else None,
            }
        )
    if as_json:
        say(json.dumps(rows, indent=2))
        return
    for row in rows:
        where = row["folder"] or f"not there: keras-rlr datasets prepare {row['name']}"
        say(
            f"{row['name']}: {len(row['categories'])} categories, "
            f"{row['training_images']} images to train on, {row['test_images']} to "
            f"test on\n  {where}\n  licence: {row['licence']}\n  {row['homepage']}"
        )


@command.command()
@click.argument("name")
@click.option("--data-dir", type=PLACE, help="Folder to prepare it in.")
@click.option("--archive", type=PLACE, help="Its archive, downloaded by other means.")
def prepare(name: str, data_dir: str | None, archive: str | None) -> None:
    """Download and extract the data set NAME.

    An interrupted download goes on where it stopped. MVTec AD has to be downloaded by
    hand, for its licence: give its file with --archive.
    """
    from keras_rlr.cli.progress import byte_progress
    from keras_rlr.datasets.catalogue import published_dataset
    from keras_rlr.datasets.prepare_dataset import prepare_dataset
    from keras_rlr.training.interruption import SignalGuard

    dataset = published_dataset(name)
    # The guard turns a SIGTERM into an exception, so that nothing half-made is left.
    with SignalGuard(), byte_progress() as (download, extract):
        try:
            folder = prepare_dataset(dataset, data_dir, archive, download, extract)
        except ConnectionError as error:
            # The work failed; nothing was wrong with the command.
            raise click.ClickException(str(error)) from error
    say(f"The folder of {dataset.title} is {folder}. Licence: {dataset.licence}.")
    given = f" --data-dir {data_dir}" if data_dir else ""
    say(f"Check it by `keras-rlr datasets verify {name}{given}`.")


@command.command()
@click.argument("name", required=False)
@click.option("--data-dir", type=PLACE, help="Folder it is extracted in.")
@click.option("--data", type=PLACE, help="Any other data set's folder.")
@json_option
def verify(
    name: str | None, data_dir: str | None, data: str | None, as_json: bool
) -> None:
    """Read every image and mask, and account for every file.

    Of the published data set NAME, or of any other's folder. Says what the files are
    used as, and which are left out and why, compares the counts with the published
    ones, and looks for test images that are copies of training images. Exits with 1 if
    there are problems.
    """
    from keras_rlr.cli.data_location import data_location
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.datasets.catalogue import published_dataset
    from keras_rlr.datasets.verify_dataset import verify_dataset

    location = data_location(data, name, data_dir, by_argument=True)
    published = None if name is None else published_dataset(name)
    with image_progress("reading") as progress:
        result = verify_dataset(location.folder, published, on_progress=progress)
    if as_json:
        counts = {key: list(value) for key, value in result.counts.items()}
        facts = {
            "folder": str(location.folder),
            "layout": result.account.layout,
            "files": result.account.files,
            "account": result.account.counts,
            "categories": result.account.categories,
            "left_out": result.account.left_out.as_dict(),
            "counts": counts,
            "warnings": result.warnings,
            "problems": result.problems,
        }
        say(json.dumps(facts, indent=2))
    else:
        _print_account(result)
        if not result.problems:
            say("No problems.")
    for warning in result.warnings:
        say(f"Warning: {warning}", err=True)
    for problem in result.problems:
        say(f"Problem: {problem}", err=True)
    if result.problems:
        raise click.exceptions.Exit(1)


def _print_account(result):
    """Prints what every file is used as, and what is left out."""
    account = result.account
    say(f"{account.folder} has {account.layout}.")
    for category, (train, normal, anomalous) in result.counts.items():
        masks = account.categories.get(category, {}).get("mask", 0)
        say(
            f"{category}: {train} to train on, {normal} normal and {anomalous} "
            f"anomalous to test on, {masks} masks"
        )
    roles = ", ".join(f"{count} {role}" for role, count in account.counts.items())
    say(f"{account.files} files: {roles}")
    for line in account.left_out.lines():
        say(f"Left out, {line}")
