"""Scores images on Ray Data: on all cores of a machine, or on a cluster."""

import hashlib
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_rlr.addresses import is_address
from keras_rlr.batch.find_lake import find_lake
from keras_rlr.batch.part_scorer import PartScorer, Report
from keras_rlr.batch.parts import IMAGES_A_PART, Part, part_to_json
from keras_rlr.batch.ray_session import import_ray, ray_session, worker_resources
from keras_rlr.batch.result_folder import Counts, ResultFolder
from keras_rlr.detectors.loading import load_model, saved_model_path
from keras_rlr.detectors.save_model import save_without_optimizer
from keras_rlr.inputs.value_ranges import ValueRanges

_MOST_WARNINGS = 10


@dataclass
class Scored:
    """What came of scoring.

    Args:
        images: Number of all images, as many as the results have rows.
        scored_before: Those that an earlier run had scored.
        failed: Those that could not be read or scored.
        first_error: Why one of them could not, or "".
        categories: By category, None where none decided: images scored, and those of
            them that are anomalous. Without a threshold none is.
    """

    images: int
    scored_before: int
    failed: int
    first_error: str
    categories: dict[str | None, tuple[int, int]]


def score_images(
    model: Any,
    images: str | Path,
    output: str | Path,
    *,
    batch_size: int = 16,
    category: str | None = None,
    image_column: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    retry_failed: bool = False,
) -> Scored:
    """Scores images by many processes and writes Parquet files.

    They have the columns path, anomaly_score, is_anomalous, error (why an image could
    not be read or scored, else ""), category, comparable_score, brightness and
    sharpness, and are those of `keras-rlr predict`. Each file is there whole or not at
    all, and what the output has already is not scored again: called once more after an
    interruption, it goes on.

    Args:
        model: A detector, trained; or the path of a run's folder or a `.keras` file.
        images: A path, or an address that fsspec knows (`s3://bucket/folder`): of a
            folder of images, of an image, or of Parquet files with images or paths.
            Relative paths start beside the Parquet file.
        output: The folder to write to, a path or an address; on a cluster, one that all
            its machines reach.
        batch_size: Images predicted at a time.
        category: The product that all images show; None to tell it by the folders.
        image_column: The column of Parquet files with the images, of bytes, of structs
            with `bytes`, or of paths; None if only one can be meant. A column `path`
            beside bytes names the images.
        workers: Number of processes; None for one a GPU, or for two CPUs.
        address: Of a Ray cluster, such as `auto`; None for this machine. Ray that was
            started by the caller is used as it is.
        on_progress: Called with (images done, images in all).
        retry_failed: Whether to try images again that have an error in the output, as
            after a disk was away; of Parquet files with all of their part.

    Returns:
        What came of it, a `Scored`.

    Raises:
        FileNotFoundError: If there are no images.
        FileExistsError: If another process is scoring into the output.
        ImportError: If Ray is not installed.
        RuntimeError: If a worker failed. What was done stays.
        ValueError: If the output has results of another model or of other images, or
            if the values of images are not what they should be.

    Example:

    ```python
    from keras_rlr.batch import score_images

    score_images("runs/visa", "photographs", "scores")
    pandas.read_parquet("scores")
    ```
    """
    import_ray()
    if isinstance(model, str | Path):
        model = load_model(saved_model_path(model))
    # There the workers have other working folders.
    images, output = _absolute(images), _absolute(output)
    lake = find_lake(images, image_column, output)
    content = _content(model)
    results = ResultFolder(output)
    settings = {
        "model": _fingerprint(content),
        "images": images,
        "category": category,
        "image column": image_column,
    }
    with results.lock():
        results.prepare(settings)
        if retry_failed:
            lake.drop_failed(results)
        before = results.count().images
        parts = lake.parts(results)
        if parts:
            left = sum(part.count for part in parts)
            options = {
                "output": output,
                "batch_size": min(batch_size, IMAGES_A_PART, left),
                "category": category,
            }
            results.write_model(content)
            _run(parts, options, workers, address, lake.count, on_progress)
        counts = results.count()
        _check(counts, lake.count, output)
        results.end_work()
    return Scored(
        counts.images,
        before,
        counts.failed,
        counts.first_error,
        {name: (many, bad) for name, (many, bad) in counts.categories.items()},
    )


def _run(
    parts: list[Part],
    options: dict[str, Any],
    workers: int | None,
    address: str | None,
    count: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    import keras

    done = count - sum(part.count for part in parts)
    said: set[str] = set()
    seen = ValueRanges(None)
    rows = [{"part": part_to_json(part)} for part in parts]
    size = sum(len(row["part"]) for row in rows)
    with ray_session(address, size) as ray:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        each = worker_resources(ray, workers, len(parts))
        reports = ray.data.from_items(
            rows, override_num_blocks=min(len(rows), 50 * each["workers"])
        ).map_batches(
            PartScorer,
            fn_constructor_kwargs={
                "threads": max(2, each["cpus"]),
                "backend": keras.backend.backend(),
                **options,
            },
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=each["workers"]),
            num_cpus=each["cpus"],
            num_gpus=each["gpus"] or None,
        )
        try:
            for row in reports.iter_rows():
                report = Report.from_json(row["report"])
                if report.refusal is not None:
                    raise report.refusal
                _tell(report.warnings, said)
                if report.value_ranges is not None:
                    seen.take_in([report.value_ranges])
                done += report.images
                if on_progress:
                    on_progress(done, count)
        except ray.exceptions.RayError as error:
            raise RuntimeError(_failure(error, options["output"])) from error
    seen.finish()


def _tell(messages: list[str], said: set[str]) -> None:
    for message in messages:
        if message not in said and len(said) < _MOST_WARNINGS:
            said.add(message)
            warnings.warn(message, stacklevel=4)


def _failure(error: Exception, output: str) -> str:
    cause: BaseException = error
    while (inner := getattr(cause, "cause", None) or cause.__cause__) is not None:
        cause = inner
    # Ray puts the traceback in front of what was said.
    *_, said = str(cause).strip().splitlines() or [""]
    return (
        f"A worker of Ray failed ({type(cause).__name__}: {said}). What was done is "
        f"in '{output}'; the same command goes on from there."
    )


def _check(counts: Counts, expected: int, output: str) -> None:
    if counts.images < expected:
        raise RuntimeError(
            f"'{output}' has {counts.images} rows, and there are {expected} images. "
            "The same command scores those that are missing."
        )
    if counts.images > expected:
        warnings.warn(
            f"'{output}' has {counts.images} rows, and there are {expected} images: "
            "some were taken away or changed since an earlier run, whose rows stay.",
            stacklevel=3,
        )


def _absolute(place: str | Path) -> str:
    text = str(place)
    return text if is_address(text) else str(Path(text).absolute())


def _content(model: Any) -> bytes:
    """The `.keras` file of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        save_without_optimizer(model, path)
        return path.read_bytes()


def _fingerprint(content: bytes) -> str:
    """Of all in a `.keras` file but the date."""
    import io

    digest = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist()):
            if name != "metadata.json":
                digest.update(name.encode() + archive.read(name))
    return digest.hexdigest()
