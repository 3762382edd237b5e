import itertools
import json
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_rlr.batch.parts import Part, part_from_json
from keras_rlr.batch.result_folder import ResultFolder
from keras_rlr.batch.stored_image import StoredImage
from keras_rlr.evaluation.predict_batch import images_at_once
from keras_rlr.evaluation.prediction import Prediction
from keras_rlr.evaluation.score_resized import (
    note_measures,
    read_resized,
    score_resized,
)
from keras_rlr.inputs.read_ahead import read_ahead
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.value_ranges import ValueRanges

# A part whose worker ended so often is gone through image by image, and an image whose
# worker ended so often is left alone.
_ENDS = 2


@dataclass
class Report:
    """What a worker says of a part.

    Args:
        images: Number of images that are in the results now.
        value_ranges: What was seen of their values; None if another did the part.
        warnings: What libraries and this package warned of.
        refusal: What makes it pointless to go on, or None.
    """

    images: int = 0
    value_ranges: ValueRanges | None = None
    warnings: list[str] = field(default_factory=list)
    refusal: OSError | ValueError | None = None

    def to_json(self) -> str:
        """Returns it as text, for another process."""
        ranges, refusal = self.value_ranges, self.refusal
        kind = "OSError" if isinstance(refusal, OSError) else "ValueError"
        return json.dumps(
            {
                "images": self.images,
                "value_ranges": None if ranges is None else ranges.to_dict(),
                "warnings": self.warnings,
                "refusal": None if refusal is None else [kind, str(refusal)],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Returns the report of what `to_json` returned.

        Args:
            text: The text.
        """
        values = json.loads(text)
        ranges, refusal = values["value_ranges"], values["refusal"]
        if ranges is not None:
            values["value_ranges"] = ValueRanges.from_dict(ranges)
        if refusal is not None:
            kind, message = refusal
            error = OSError if kind == "OSError" else ValueError
            values["refusal"] = error(message)
        return cls(**values)


class PartScorer:
    """Scores parts in a worker: the model is loaded once.

    Args:
        output: Path or address of the `ResultFolder`, which has the model too.
        batch_size: Images predicted at a time.
        category: The product that all images show; None to tell it by the folders.
        threads: Number of threads that read.
        backend: Keras' backend where the work was begun.
    """

    def __init__(
        self,
        output: str,
        batch_size: int,
        category: str | None,
        threads: int,
        backend: str,
    ) -> None:
        import keras

        from keras_rlr.detectors.loading import load_model

        if keras.backend.backend() != backend:
            raise RuntimeError(
                f"Ray's worker computes with {keras.backend.backend()}, and this was "
                f"begun with {backend}. Start Ray with KERAS_BACKEND={backend}."
            )
        self._results = ResultFolder(output)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(self._results.read_model())
            self._model = load_model(path)
        self._batch_size = images_at_once(self._model, batch_size)
        self._look = self._model.where_to_look()
        self._category = category
        self._threads = threads

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Scores the parts of a batch of Ray Data.

        Args:
            batch: Has `part`, `Part`s as text.

        Returns:
            Dict of `report`, `Report`s as text.
        """
        parts = map(part_from_json, batch["part"])
        return {"report": [self.score(part).to_json() for part in parts]}

    def score(self, part: Part) -> Report:
        """Scores a part, unless an earlier attempt of this run has done so.

        Args:
            part: The `Part`.
        """
        report = Report(part.count)
        # Ray repeats what a worker did whose process ended afterwards.
        if self._results.has_part(part.name):
            return report
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                ranges = ValueRanges(getattr(self._model, "bit_depth", None))
                rows = self._rows(part, ranges)
                self._results.write_part(part.name, rows, part.begins)
                report.value_ranges = ranges
            # They hold for all images: too dark ones, a full disk.
            except (OSError, ValueError) as error:
                report.refusal = error
        quiet = DeprecationWarning | FutureWarning
        report.warnings = [
            str(one.message) for one in caught if not issubclass(one.category, quiet)
        ]
        return report

    def _rows(self, part: Part, ranges: ValueRanges) -> list[Prediction]:
        attempt = self._results.read_attempt(part.name)
        ended = attempt.get("ended", [])
        if "reading" in attempt:
            ended.append(attempt["reading"])
        begun = attempt.get("begun", 0) + 1
        noted = {"begun": begun, "ended": ended}
        self._results.note_attempt(part.name, noted)
        images = part.images()
        if begun <= _ENDS:
            return self._score_all(images, ranges)
        rows = []
        for i, image in enumerate(images):
            if ended.count(i) >= _ENDS:
                error = (
                    f"'{image.source}' was being read when the worker's process ended "
                    f"{_ENDS} times, so it is left alone."
                )
                rows.append(Prediction(image.name, error=error))
                continue
            self._results.note_attempt(part.name, {**noted, "reading": i})
            rows += self._score_all([image], ranges)
        return rows

    def _score_all(
        self, images: Iterable[StoredImage], ranges: ValueRanges
    ) -> list[Prediction]:
        rows: list[Prediction] = []
        read = read_ahead(self._read, images, 2 * self._batch_size, self._threads)
        while batch := list(itertools.islice(read, self._batch_size)):
            resized = {}
            for row, small in batch:
                if small is not None:
                    resized[len(rows)] = small
                rows.append(row)
            if resized:
                score_resized(
                    self._model, rows, resized, self._batch_size, ranges, self._look
                )
        return rows

    def _read(self, image: StoredImage) -> tuple[Prediction, ResizedImage | None]:
        model = self._model
        bit_depth = getattr(model, "bit_depth", None)
        _, small, error = read_resized(
            image.load, image.source, model.map_size, bit_depth
        )
        known = model.thresholds.by_category
        category = self._category or image.category(known)
        row = Prediction(image.name, error=error, category=category)
        if small is not None:
            note_measures(model, row, small)
        return row, small
