import contextlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path

from keras_rlr.atomic_file import write_text
from keras_rlr.datasets.prediction_record import RECORD, is_below, recorded_names
from keras_rlr.evaluation.picture_names import picture_names
from keras_rlr.evaluation.regions.map_files import KINDS, SCALED, map_paths
from keras_rlr.evaluation.regions.region_files import is_our_table, region_paths
from keras_rlr.printable import name_some
from keras_rlr.tables.read_csv import read_csv

SCORES = "scores.csv"
OVERLAYS = "overlays"
_COLUMNS = ("path", "anomaly_score", "is_anomalous", "error")
_SHOWN = 3


class WrittenFiles:
    """Which files of a folder `predict` wrote, so that two runs never look like one.

    They are noted in a hidden file before the first of them is written: a run that was
    killed is known too, and what others put beside them is never touched. Where there
    is no such note, as of earlier versions, `scores.csv` tells the files.

    Args:
        output: The folder.
    """

    def __init__(self, output: Path) -> None:
        self._output, self._record = output, output / RECORD

    def replace(self, files: Iterable[Path], kept: Iterable[Path] = ()) -> None:
        """Removes what an earlier run wrote, and notes what this one is to write.

        Args:
            files: What is to be written, below the folder; tables first.
            kept: Files that are read yet.

        Raises:
            ValueError: If the note is damaged.
            PermissionError: If the folder can't be written to.
        """
        names = self._names(files)
        earlier = self._noted()
        if earlier is None:
            earlier = self._told_by_scores()
            # Scores go first, and the rest must be known if it is stopped then.
            self._note(earlier)
        inputs = {path.resolve() for path in kept}
        removed = []
        for name in earlier:
            path = self._output / name
            if path.is_file() and path.resolve() not in inputs:
                path.unlink()
                removed.append(name)
        self._remove_empty_folders(removed)
        self._note(names)
        again = set(names)
        if stale := [name for name in removed if name not in again]:
            warnings.warn(
                f"'{self._output}' had results of an earlier run; removed "
                f"{len(stale)} of its files that are not written again: "
                f"{name_some(stale, _SHOWN)}.",
                stacklevel=3,
            )

    def note(self, files: Iterable[Path]) -> None:
        """Notes what was written in the end.

        Args:
            files: As of `replace`.
        """
        self._note(self._names(files))

    def _names(self, files):
        return [path.relative_to(self._output).as_posix() for path in files]

    def _note(self, names):
        write_text(self._record, json.dumps({"files": names}, indent=0) + "\n")

    def _noted(self):
        """The names that are noted, or None."""
        try:
            return recorded_names(self._record.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(
                f"'{self._record}' is damaged, which says what an earlier run wrote "
                "there. Choose another folder with --output, or remove that one."
            ) from error

    def _told_by_scores(self):
        """The names that the scores of an earlier version tell of."""
        output = self._output
        try:
            table = read_csv(output / SCORES, _COLUMNS, ())
        except (FileNotFoundError, ValueError):
            return []
        rows = [row for _, row in table.rows if is_below(row["path"])]
        pictures = picture_names(row["path"] for row in rows)
        done = [
            picture
            for picture, row in zip(pictures, rows, strict=True)
            if not row["error"]
        ]
        found = [output / SCORES]
        if is_our_table(output):
            found += region_paths(output, done)
        for kind in KINDS:
            if kind != SCALED or map_paths(output, (), kind)[0].exists():
                found += map_paths(output, done, kind)
        found += [output / OVERLAYS / picture for picture in done]
        return self._names(found)

    def _remove_empty_folders(self, names):
        folders = {folder for name in names for folder in Path(name).parents}
        for folder in sorted(folders - {Path()}, reverse=True):
            # Those that hold anything else stay.
            with contextlib.suppress(OSError):
                (self._output / folder).rmdir()
