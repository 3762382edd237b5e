from pathlib import Path

from keras_rlr.datasets import FolderDataset, find_images, read_image
from keras_rlr.datasets.image_files import check_folder
from keras_rlr.datasets.layouts import find_layout
from keras_rlr.models.save_model import save_without_optimizer
from keras_rlr.training.hold_out import hold_out
from keras_rlr.training.run_folder import RunFolder


def calibrate_run(model, path, data, false_positive_rate):
    """Sets the thresholds of a saved model from a folder of normal images.

    Args:
        model: The `RLR` model.
        path: Its `.keras` file, which is written anew; the config.json beside it, if
            it is of a run, gets the new thresholds too.
        data: A folder of normal images, or of a data set, whose normal training
            images are used; of the run's own data set, those that were held out.
        false_positive_rate: Share of new normal images that may be called anomalous.

    Returns:
        Dict of "images", "false_positive_rate", "threshold", "category_thresholds".

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If there are too few, or all of them were trained on.
    """
    run = RunFolder(Path(path).parent)
    config = None
    if Path(path).name == run.model.name and run.config.is_file():
        config = run.read_config()
    images = _normal_images(Path(data), config)
    model.calibrate(images, false_positive_rate=false_positive_rate)
    calibration = {
        "images": len(images),
        "false_positive_rate": false_positive_rate,
        "threshold": model.threshold,
        "category_thresholds": model.thresholds.by_category,
    }
    save_without_optimizer(model, path)
    if config is not None:
        run.write_json(run.config, {**config, "calibration": calibration})
    return calibration


def _normal_images(data, config):
    check_folder(data)
    try:
        find_layout(data)
    except ValueError:
        return _Images(data)
    settings = {} if config is None else config["settings"]
    dataset = FolderDataset(data, "train", categories=settings.get("categories"))
    if config is None or not _same(data, config["data"]["path"]):
        return dataset
    _, held = hold_out(dataset, settings["calibration_fraction"], settings["seed"])
    if not len(held):
        raise ValueError(
            f"The model was trained on all normal images of '{data}', and those score "
            "lower than new ones. Give other normal images, or train with "
            "--calibration-fraction above 0."
        )
    if held.fingerprint() != config["data"]["calibration_fingerprint"]:
        raise ValueError(
            f"The images in '{data}' are not those that the model was trained on any "
            "more, so which of them it has not seen is unknown. Give other normal "
            "images."
        )
    return held


def _same(data, path):
    return Path(path).exists() and data.resolve() == Path(path).resolve()


class _Images:
    """The images of a folder, read when they are asked for."""

    def __init__(self, folder):
        self._paths = find_images(folder)
        if not self._paths:
            raise FileNotFoundError(
                f"There are no images in '{folder}'. Expected .png, .jpg, .bmp, .tif "
                "or .webp files there or in folders below."
            )

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        return {"image": read_image(self._paths[index])}
