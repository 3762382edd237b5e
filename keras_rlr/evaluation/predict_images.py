import collections
import contextlib
import errno
import itertools
import math
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from keras_rlr.atomic_file import NO_ROOM, atomic_path
from keras_rlr.datasets import account_for_images, read_image
from keras_rlr.datasets.image_files import SUFFIXES_IN_WORDS
from keras_rlr.datasets.left_out import LeftOut, Reason
from keras_rlr.evaluation.overlay import HeatScale, draw_overlay, shown_pixels
from keras_rlr.evaluation.picture_names import picture_names
from keras_rlr.evaluation.predict_batch import images_at_once
from keras_rlr.evaluation.prediction import Prediction, path_below
from keras_rlr.evaluation.regions.image_files import ImageFiles
from keras_rlr.evaluation.score_resized import (
    folder_category,
    note_measures,
    read_resized,
    score_resized,
)
from keras_rlr.evaluation.written_files import OVERLAYS, SCORES, WrittenFiles
from keras_rlr.inputs.image_measures import MEASURES
from keras_rlr.inputs.read_ahead import read_ahead
from keras_rlr.inputs.value_ranges import ValueRanges
from keras_rlr.tables.read_parquet import is_parquet
from keras_rlr.tables.table_text import table_text

_SECONDS_BETWEEN_WRITES = 2
# And so many times as long as writing takes: a twentieth of the time, at most.
_PAUSE = 20


def predict_images(
    model,
    images,
    output,
    batch_size=16,
    on_progress=None,
    decoder=None,
    category=None,
    regions=False,
    maps=None,
    regions_of_interest=None,
):
    """Scores every image of a folder and draws an overlay of each.

    `output` gets `scores.csv` (path, anomaly_score, is_anomalous, error, brightness,
    sharpness: see `measure_image`) and `overlays/`, which mirrors the tree of the
    images in `.png` files. All overlays have one scale of colours: the threshold's, or
    without one that of all scores. An image that can't be read, or whose score is NaN,
    gets a row with its error; the others go on. If it is interrupted, `scores.csv` has
    the images that were done. What an earlier run wrote to `output` is removed before,
    and nothing else: see `WrittenFiles`.

    An image is decided by the threshold of its category, if the model has one: the
    nearest folder around the image that is called like it, above `images` too, else
    the product that the model recognises in it. An image that shows none that it knows
    is anomalous. Of a model that recognises products `scores.csv` has the columns
    category, "(unknown)" for none, and comparable_score too.

    Args:
        model: An `RLR` model, trained.
        images: A folder, searched with all folders in it, or one image file.
        output: The folder to write to. Overlays in it are never taken for images.
        batch_size: Images predicted at a time.
        on_progress: Called with (images done, images in all) after every batch.
        decoder: A `FeatureDecoder` of the model's features, to show the image as the
            model rebuilt it; None to do without.
        category: The product that all images show; None to tell it by the folders.
        regions: Whether to write `regions.json` and `region_masks/` too, of the regions
            that reach the model's pixel threshold: see `RegionFiles`.
        maps: "npy" or "tiff" to write the maps in `anomaly_maps/` too: see `MapFiles`.
        regions_of_interest: Function of the paths of all images that returns of each
            where to look, beside the model's own region, or None for everywhere; see
            `WhereToLook`.

    Returns:
        List of `Prediction`s in the order of `scores.csv`.

    Raises:
        FileNotFoundError: If there are no images.
        NotADirectoryError: If `output` is a file.
        ValueError: If there are to be regions, and the model has no threshold.

    Example:

    ```python
    import keras, keras_rlr
    from keras_rlr.evaluation.predict_images import predict_images

    model = keras.saving.load_model("runs/visa/model.keras")
    rows = predict_images(model, "photographs", "predictions")
    ```
    """
    root, paths = _find(Path(images), Path(output))
    look = _where_to_look(model, regions_of_interest, root, paths)
    bit_depth = getattr(model, "bit_depth", None)
    value_ranges = ValueRanges(bit_depth)
    batch_size = min(images_at_once(model, batch_size), len(paths))
    output = Path(output)
    files = ImageFiles(output, model.thresholds, regions, maps)
    _make_folder(output)
    known = model.thresholds.by_category
    rows = [
        Prediction(
            path_below(path, root), category=category or folder_category(path, known)
        )
        for path in paths
    ]
    names = picture_names(row.path for row in rows)

    def read(i):
        small, pixels, error = _read(paths[i], model.map_size, bit_depth)
        if not error:
            note_measures(model, rows[i], small)
        return small, pixels, error

    def draw(i, picture, anomaly_map):
        row, path = rows[i], output / OVERLAYS / names[i]
        # The colours are those of the threshold that decided.
        own = scale or HeatScale.of_threshold(model.thresholds.of(row.category))
        score = row.anomaly_score
        small, pixels = picture
        _draw(model, decoder, path, small, pixels, anomaly_map, own, score)

    written = WrittenFiles(output)
    inputs = paths if Path(images).is_file() else ()
    written.replace(_files_of(output, files, names), inputs)
    scale = None
    with contextlib.ExitStack() as stack:
        recognizes = bool(getattr(model, "known_categories", ()))
        scores = stack.enter_context(
            _GrowingScores(output / SCORES, rows, recognizes, files)
        )
        kept = None
        if model.threshold is None:
            # The scale is known when all is scored: until then, maps wait on disk.
            file = stack.enter_context(tempfile.TemporaryFile(dir=output))
            shape = (len(paths), *model.map_size)
            _take_room(file, 4 * math.prod(shape), output)
            kept = np.memmap(file, "float32", "w+", shape=shape)
        images = stack.enter_context(
            contextlib.closing(read_ahead(read, range(len(paths))))
        )
        for start in range(0, len(paths), batch_size):
            chosen = range(start, min(start + batch_size, len(paths)))
            loaded = {}
            for i, (*picture, error) in zip(chosen, images, strict=False):
                rows[i].error = error
                if not error:
                    loaded[i] = picture
            found = {}
            if loaded:
                resized = {i: small for i, (small, _) in loaded.items()}
                found = score_resized(
                    model, rows, resized, batch_size, value_ranges, look
                )
            scores.advance(chosen.stop)
            sizes = {i: small.shape[:2] for i, (small, _) in loaded.items()}
            files.add(rows, names, sizes, found)
            if kept is not None:
                for i, anomaly_map in found.items():
                    kept[i] = anomaly_map
            else:
                drawn = ((i, loaded[i], values) for i, values in found.items())
                _for_all(draw, drawn, decoder is None)
            if on_progress:
                on_progress(chosen.stop, len(paths))
        # Of a large image those are hundreds of megabytes, and drawing reads it anew.
        loaded, resized, found, picture = {}, {}, {}, []
        anomaly_map = np.empty(0)
        value_ranges.finish()
        finite = [row.anomaly_score for row in rows if row.anomaly_score is not None]
        if kept is not None and finite:
            scale = HeatScale.of_scores(finite)

            def read_and_draw(i):
                *picture, error = read(i)
                # It was read before, but files may go away.
                if not error:
                    draw(i, picture, kept[i])

            scored = ((i,) for i, row in enumerate(rows) if not row.error)
            _for_all(read_and_draw, scored, decoder is None)
    done = [name for name, row in zip(names, rows, strict=True) if not row.error]
    written.note(_files_of(output, files, done))
    return rows


def _for_all(function, arguments, on_threads):
    """Calls a function with each tuple of arguments.

    Most of drawing is compression, which other threads do meanwhile; a model's
    pictures of the reconstruction are made on this one.
    """
    if on_threads:
        done = read_ahead(lambda each: function(*each), arguments)
    else:
        done = itertools.starmap(function, arguments)
    collections.deque(done, maxlen=0)


class _GrowingScores:
    """Keeps `scores.csv` up to date, so that an interruption loses nothing done.

    So it does the `files` that are written beside it.
    """

    def __init__(self, path, rows, with_categories, files):
        self._path, self._rows, self._files = path, rows, files
        self._with_categories = with_categories
        self._done = 0
        self._due = 0.0

    def __enter__(self):
        self._write()
        return self

    def advance(self, done):
        """Notes how many rows are known, and writes them now and then."""
        self._done = done
        if time.monotonic() > self._due:
            self._write()

    def _write(self):
        begun = time.monotonic()
        _write_scores(self._path, self._rows[: self._done], self._with_categories)
        self._files.save()
        ended = time.monotonic()
        # All rows are written anew: of a million that alone takes longer than that.
        pause = max(_SECONDS_BETWEEN_WRITES, _PAUSE * (ended - begun))
        self._due = ended + pause

    def __exit__(self, *exception):
        self._write()


def _find(images, output):
    if images.is_file():
        return images.parent, [images]
    own = [(output / name).resolve() for name in (OVERLAYS, *ImageFiles.FOLDERS)]

    def is_own(path):
        return any(path.resolve().is_relative_to(folder) for folder in own)

    account = account_for_images(images)
    left_out = LeftOut(images)
    for reason, names in account.left_out.by_reason.items():
        for name in names:
            # That this output has results is said where they are replaced. Of what else
            # is left out a link may go in a circle, which can't be resolved.
            if reason is Reason.RESULT:
                path = images / name
                if is_own(path) or path.resolve().parent == output.resolve():
                    continue
            left_out.add(name, reason)
    if summary := left_out.summary():
        warnings.warn(summary, stacklevel=3)
    paths = [path for path in account.images if not is_own(path)]
    if not paths:
        others = left_out.by_reason.get(Reason.UNKNOWN, ())
        ray = " Parquet files are read by --engine ray." * any(map(is_parquet, others))
        raise FileNotFoundError(
            f"There are no images in '{images}'. Expected {SUFFIXES_IN_WORDS} files "
            f"there or in folders below.{ray}"
        )
    return images, paths


def _files_of(output, files, names):
    """What is written of images, tables before pictures."""
    drawn = [output / OVERLAYS / name for name in names]
    return [output / SCORES, *files.paths(names), *drawn]


def _where_to_look(model, regions_of_interest, root, paths):
    regions = None
    if regions_of_interest is not None:
        regions = regions_of_interest([p.relative_to(root).as_posix() for p in paths])
    # What stands in for a model has no regions.
    return model.where_to_look(regions) if hasattr(model, "where_to_look") else None


def _take_room(file, size, output):
    """Has a disk that lacks the room say so: a memory map would end the process."""
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except AttributeError:
        return
    except OSError as error:
        # Not all file systems can.
        if error.errno in (*NO_ROOM, errno.EFBIG):
            raise OSError(
                error.errno,
                f"There is no room in '{output}' for the maps of all images, "
                f"{size / 2**30:.1f} GiB ({error.strerror}). They are kept until the "
                "scale of the pictures is known, because the model has no threshold: "
                "calibrate it, or free some space.",
            ) from error


def _make_folder(output):
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(
            f"'{output}' is a file. Choose another folder with --output."
        )
    output.mkdir(parents=True, exist_ok=True)


def _read(path, size, bit_depth):
    """What is needed of an image, so that it itself is soon forgotten.

    Returns:
        The image as a `ResizedImage`, its pixels to be shown, and ""; or None twice,
        and what is wrong with it.
    """
    image, small, error = read_resized(lambda: read_image(path), path, size, bit_depth)
    if error:
        return None, None, error
    return small, shown_pixels(image, bit_depth=bit_depth), ""


def _draw(model, decoder, path, small, pixels, anomaly_map, scale, score):
    more = []
    if decoder is not None:
        rebuilt = model.reconstruct(model.extract_features([small]))
        more = list(decoder.decode(rebuilt))
    with atomic_path(path) as temporary:
        picture = draw_overlay(pixels, anomaly_map, scale, more=more, score=score)
        picture.save(temporary)


def _write_scores(path, rows, with_categories):
    more = ("category", "comparable_score") if with_categories else ()
    table = [("path", "anomaly_score", "is_anomalous", "error", *more, *MEASURES)]
    for row in rows:
        flag = "" if row.is_anomalous is None else str(row.is_anomalous).lower()
        cells = [row.path, _number(row.anomaly_score), flag, row.error]
        if with_categories:
            cells += [row.category_name or "", _number(row.comparable_score)]
        table.append((*cells, *(_number(getattr(row, name)) for name in MEASURES)))
    with atomic_path(path) as temporary:
        # File names are bytes: those that are no UTF-8 are written as they are.
        temporary.write_bytes(table_text(table).encode("utf-8", "surrogateescape"))


def _number(value):
    return "" if value is None else repr(value)
