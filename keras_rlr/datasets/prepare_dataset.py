import warnings
from collections.abc import Callable
from pathlib import Path

from keras_rlr.backend_choice import keras_home
from keras_rlr.datasets.catalogue import PublishedDataset
from keras_rlr.datasets.download import check_sha256, download
from keras_rlr.datasets.extract import check_empty, extract
from keras_rlr.datasets.layouts import find_layout
from keras_rlr.datasets.tree import read_tree
from keras_rlr.printable import name_some

_SHOWN = 5


def default_folder(name: str) -> Path:
    """Where a data set is looked for and prepared: below Keras' own folder."""
    return keras_home() / "datasets" / name


def is_prepared(folder: Path) -> bool:
    """Whether there is anything in a folder."""
    return folder.is_dir() and any(
        not child.name.startswith(".") for child in folder.iterdir()
    )


def prepare_dataset(
    dataset: PublishedDataset,
    folder: str | Path | None = None,
    archive: str | Path | None = None,
    on_download: Callable[[int, int | None], None] | None = None,
    on_extract: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Makes sure that a published data set lies extracted in a folder.

    What is there already is left as it is; if only some of its categories are, a
    warning names the others. Otherwise its archive is checked against
    the published checksum and extracted, whole or not at all; it is downloaded first
    if it may be.

    Args:
        dataset: from the catalogue.
        folder: where to; by default below Keras' own folder.
        archive: the archive, if it was downloaded by other means. It is kept.
        on_download: called with (bytes done, bytes in all or None).
        on_extract: called with (bytes done, bytes in all).

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if there is no such archive, or the data set has to be
            downloaded by hand.
        ValueError: if the archive has another checksum or is unsafe, or what is in
            the folder is no data set or another one.
        ConnectionError: if the download fails.
        NotADirectoryError: if the folder is a file.
        OSError: if the disk is full.
    """
    folder = Path(folder) if folder is not None else default_folder(dataset.name)
    if is_prepared(folder):
        missing = check_categories(dataset, folder)
        if missing:
            count = len(dataset.counts)
            warnings.warn(
                f"'{folder}' has {count - len(missing)} of the {count} categories of "
                f"{dataset.title}. Missing: {', '.join(missing)}.",
                stacklevel=2,
            )
        return folder
    check_empty(folder)
    if archive is not None:
        archive = Path(archive)
        if not archive.is_file():
            raise FileNotFoundError(f"There is no archive '{archive}'.")
        check_sha256(archive, dataset.sha256)
        return extract(archive, folder, on_extract)
    if dataset.url is None:
        raise FileNotFoundError(
            f"{dataset.title} has to be downloaded by hand, for its licence: "
            f"{dataset.licence}. Get '{dataset.archive}' from {dataset.homepage} and "
            f"give it with --archive, or name the folder it is extracted in with "
            "--data-dir."
        )
    downloaded = folder.resolve().parent / dataset.archive
    download(dataset.url, downloaded, dataset.sha256, on_download)
    extract(downloaded, folder, on_extract)
    downloaded.unlink()
    return folder


def check_categories(dataset: PublishedDataset, folder: Path) -> list[str]:
    """Refuses a folder with nothing of a data set, and warns of what is not of it.

    Returns:
        The data set's categories that are not there.

    Raises:
        ValueError: if none of them is there, or the folder has no known layout.
    """
    found = sorted(find_layout(read_tree(folder).root)[1])
    missing = [name for name in dataset.counts if name not in found]
    others = [name for name in found if name not in dataset.counts]
    if not set(found) & set(dataset.counts):
        raise ValueError(
            f"'{folder}' has none of the {len(dataset.counts)} categories of "
            f"{dataset.title}; it has {name_some(found, _SHOWN)}. Name the folder that "
            "the data set is extracted in with --data-dir, or, to prepare it, one that "
            "is empty or not there yet. The folder of any other data set is given with "
            "--data."
        )
    if others:
        warnings.warn(
            f"'{folder}' has categories that are not of {dataset.title}: "
            f"{name_some(others, _SHOWN)}.",
            stacklevel=3,
        )
    return missing
