import contextlib
import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_rlr.addresses import local_path, open_place
from keras_rlr.atomic_file import atomic_path, check_writable
from keras_rlr.evaluation.prediction import Prediction
from keras_rlr.folder_lock import FolderLock
from keras_rlr.tables.read_parquet import order_metadata

# Readers of Parquet folders leave out what begins so.
_SETTINGS = "_settings.json"
_WORK = "_work"
_MODEL = "_work/model.keras"
_SUFFIX = ".parquet"


@dataclass
class Counts:
    """What the results say of all images.

    Args:
        images: Number of rows.
        names: Number of different names.
        failed: Rows with an error.
        first_error: One of the errors, or "".
        categories: By category, None of no known one: [scored, anomalous].
    """

    images: int = 0
    names: int = 0
    failed: int = 0
    first_error: str = ""
    categories: dict[str | None, list[int]] = field(default_factory=dict)


class ResultFolder:
    """Parquet files of results, each of which is there whole or not at all.

    The folder also has `_settings.json`, what the results were made with, and while
    there is work `_work`, with the model and what is noted of parts that are begun.

    Args:
        place: Its path or address.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._files, self._root = open_place(place)
        self._is_local = local_path(place) is not None

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """The lock of whoever scores into it; addresses have none.

        Raises:
            NotADirectoryError: If it is a file.
            PermissionError: If nothing can be written there.
        """
        if not self._is_local:
            return contextlib.nullcontext()
        check_writable(self._root)
        return FolderLock(
            Path(self._root),
            "scoring images into",
            "Wait until it has ended, or stop it and begin again, which goes on with "
            "what is missing; or choose another folder with --output.",
        )

    def prepare(self, settings: dict[str, Any]) -> None:
        """Makes the folder, or sees that its results were made with these settings.

        Args:
            settings: What results depend on, for a JSON file.

        Raises:
            NotADirectoryError: If it is a file.
            PermissionError: If nothing can be written there.
            ValueError: If it has results that were made otherwise.
        """
        if self._is_local:
            check_writable(self._root)
        settings = {"version": 1, **settings}
        found = self._read_json(_SETTINGS)
        if found != settings and self.part_names():
            before = found or {}
            other = [name for name in settings if before.get(name) != settings[name]]
            raise ValueError(
                f"'{self.place}' has results that were made with another "
                f"{' and another '.join(other)}. Choose another folder with --output, "
                "or remove that one."
            )
        # An interruption says nothing against the images that were being read.
        self.end_work()
        self._write(_SETTINGS, json.dumps(settings, indent=2).encode())

    def has_part(self, name: str) -> bool:
        """Whether a part is there."""
        self._files.invalidate_cache()
        return self._files.exists(f"{self._root}/part-{name}{_SUFFIX}")

    def part_names(self) -> Collection[str]:
        """Names of the parts that are there."""
        return {
            path.rpartition("/")[2].removeprefix("part-").removesuffix(_SUFFIX)
            for path in self._parts()
        }

    def image_names(self) -> Collection[str]:
        """What the results call the images that are there."""
        return set(self._table(["path"])["path"].to_pylist())

    def count(self) -> Counts:
        """Counts what is there."""
        import pyarrow.compute as pc

        table = self._table(["path", "is_anomalous", "error", "category"])
        failed = table.filter(pc.not_equal(table["error"], ""))
        scored = table.filter(pc.equal(table["error"], ""))
        counts = Counts(
            images=table.num_rows,
            names=pc.count_distinct(table["path"]).as_py(),
            failed=failed.num_rows,
            first_error=failed["error"][0].as_py() if failed.num_rows else "",
        )
        groups = scored.group_by("category").aggregate(
            [("error", "count"), ("is_anomalous", "sum")]
        )
        for row in groups.to_pylist():
            numbers = [row["error_count"], row["is_anomalous_sum"] or 0]
            counts.categories[row["category"]] = numbers
        return counts

    def write_part(
        self,
        name: str,
        rows: list[Prediction],
        begins: Sequence[Any] | None = None,
    ) -> None:
        """Writes the rows of a part, and forgets the attempts at it.

        Args:
            name: Of the part.
            rows: What became of its images.
            begins: See `order_metadata`.
        """
        import pyarrow as pa
        import pyarrow.parquet

        columns = {
            "path": [row.path for row in rows],
            "anomaly_score": [row.anomaly_score for row in rows],
            "is_anomalous": [row.is_anomalous for row in rows],
            "error": [row.error for row in rows],
            "category": [row.category_name for row in rows],
            "comparable_score": [row.comparable_score for row in rows],
            "brightness": [row.brightness for row in rows],
            "sharpness": [row.sharpness for row in rows],
        }
        sink = pa.BufferOutputStream()
        schema = _schema().with_metadata(order_metadata(begins))
        pyarrow.parquet.write_table(pa.table(columns, schema), sink)
        self._write(f"part-{name}{_SUFFIX}", sink.getvalue().to_pybytes())
        self._remove(f"{_WORK}/{name}.json")

    def drop_failed(self, whole_parts: bool) -> None:
        """Takes rows with an error out of the results, so that they are scored again.

        Args:
            whole_parts: Whether all rows of a part go where one has an error.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet

        for path in self._parts():
            with self._files.open(path, "rb") as file:
                table = pyarrow.parquet.ParquetFile(file).read()
            scored = table.filter(pc.equal(table["error"], ""))
            if scored.num_rows == table.num_rows:
                continue
            name = path.rpartition("/")[2]
            if whole_parts or not scored.num_rows:
                self._remove(name)
                continue
            sink = pa.BufferOutputStream()
            pyarrow.parquet.write_table(scored, sink)
            self._write(name, sink.getvalue().to_pybytes())

    def read_attempt(self, name: str) -> dict[str, Any]:
        """What was noted of attempts at a part that did not end."""
        return self._read_json(f"{_WORK}/{name}.json") or {}

    def note_attempt(self, name: str, attempt: dict[str, Any]) -> None:
        """Notes what is being tried with a part."""
        self._write(f"{_WORK}/{name}.json", json.dumps(attempt).encode())

    def write_model(self, content: bytes) -> None:
        """Keeps a `.keras` file for the workers, who reach this folder."""
        self._write(_MODEL, content)

    def read_model(self) -> bytes:
        """What `write_model` kept."""
        return self._files.cat_file(f"{self._root}/{_MODEL}")

    def end_work(self) -> None:
        """Removes what was for the workers."""
        path = f"{self._root}/{_WORK}"
        if self._files.exists(path):
            self._files.rm(path, recursive=True)

    def _parts(self) -> list[str]:
        self._files.invalidate_cache()
        if not self._files.isdir(self._root):
            return []
        names = self._files.ls(self._root, detail=False)
        parts = (name.rpartition("/")[2] for name in names)
        return [
            f"{self._root}/{name}"
            for name in sorted(parts)
            if name.startswith("part-") and name.endswith(_SUFFIX)
        ]

    def _table(self, columns: list[str]) -> Any:
        import pyarrow as pa
        import pyarrow.dataset

        parts = self._parts()
        if not parts:
            return pa.table({name: [] for name in columns}, _schema(columns))
        dataset = pyarrow.dataset.dataset(
            parts, schema=_schema(), format="parquet", filesystem=self._files
        )
        return dataset.to_table(columns)

    def _read_json(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads(self._files.cat_file(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(
                f"'{self.place}/{name}' is damaged. Choose another folder with "
                "--output, or remove that one."
            ) from error

    def _write(self, name: str, content: bytes) -> None:
        path = f"{self._root}/{name}"
        if self._is_local:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
            return
        # Object stores write whole objects; of others not all do.
        temporary_path = f"{path.rpartition('/')[0]}/_{uuid.uuid4().hex}"
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(temporary_path, content)
        self._files.mv(temporary_path, path)

    def _remove(self, name: str) -> None:
        path = f"{self._root}/{name}"
        if self._files.exists(path):
            self._files.rm_file(path)


def _schema(names: Collection[str] | None = None) -> Any:
    import pyarrow as pa

    fields = {
        "path": pa.string(),
        "anomaly_score": pa.float32(),
        "is_anomalous": pa.bool_(),
        "error": pa.string(),
        "category": pa.string(),
        "comparable_score": pa.float32(),
        "brightness": pa.float32(),
        "sharpness": pa.float32(),
    }
    return pa.schema([(n, t) for n, t in fields.items() if names is None or n in names])
