from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True)
class DataLocation:
    """Where a data set is, and what it is called.

    Args:
        folder: Its folder.
        name: The name of runs on it.
        words: The words of the command that name it, as a list, for messages.
    """

    folder: Path
    name: str
    words: tuple

    @property
    def run(self) -> Path:
        """The folder of the run on it, unless the user names another."""
        return Path("runs") / self.name


def data_location(
    data: Any, dataset: Any, data_dir: str | None, by_argument: bool = False
) -> DataLocation:
    """Makes sense of the options --data, --dataset and --data-dir.

    Args:
        data: The folder of any data set, or None.
        dataset: The name of a published one, or None.
        data_dir: Where that is extracted, or None.
        by_argument: Whether the command takes the name as its argument NAME, and not
            by --dataset.

    Raises:
        click.UsageError: If neither or both are given.
        ValueError: If there is no data set of the name, or the folder has another.
        FileNotFoundError: If it is not there.
    """
    option = "NAME" if by_argument else "--dataset"
    if (data is None) == (dataset is None):
        name = "the NAME" if by_argument else "--dataset with the name"
        raise click.UsageError(
            f"Give either --data with a folder or {name} of a published data set; "
            "`keras-rlr datasets list` has them."
        )
    if data is not None:
        if data_dir is not None:
            raise click.UsageError(f"--data-dir belongs to {option}; --data is enough.")
        return DataLocation(
            Path(data), Path(data).resolve().name, ("--data", str(data))
        )
    from keras_rlr.datasets.catalogue import published_dataset
    from keras_rlr.datasets.prepare_dataset import (
        check_categories,
        default_folder,
        is_prepared,
    )

    try:
        published = published_dataset(dataset)
    except ValueError as error:
        raise ValueError(
            f"{error} The folder of any other is given with --data."
        ) from error
    words = (dataset,) if by_argument else ("--dataset", dataset)
    folder = default_folder(dataset) if data_dir is None else Path(data_dir)
    # `verify` compares all counts, and says what it finds.
    if not by_argument and is_prepared(folder):
        check_categories(published, folder)
    if data_dir is not None:
        return DataLocation(folder, dataset, (*words, "--data-dir", str(data_dir)))
    if not is_prepared(folder):
        raise FileNotFoundError(
            f"The data set {dataset} is not there yet. Get it by `keras-rlr datasets "
            f"prepare {dataset}`, or name the folder it is extracted in with "
            "--data-dir."
        )
    return DataLocation(folder, dataset, words)
