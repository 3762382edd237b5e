"""What people say of scored images: false alarms and missed anomalies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_rlr.addresses import is_address
from keras_rlr.inputs.image_measures import MEASURES
from keras_rlr.tables.read_table import read_table

NORMAL, ANOMALOUS = "normal", "anomalous"
_PATH, _VERDICT, _CATEGORY = "path", "verdict", "category"
# People mark images in the table that `predict` wrote.
_ALSO = (
    *("anomaly_score", "is_anomalous", "error", *MEASURES),
    *(_CATEGORY, "comparable_score"),
)


@dataclass(frozen=True)
class JudgedImage:
    """An image that somebody looked at.

    Args:
        path: Its path as the table has it.
        file: Its file.
        category: The product that the table names, or "".
    """

    path: str
    file: Path
    category: str = ""


@dataclass(frozen=True)
class Feedback:
    """The verdicts of a table.

    Args:
        normal: Images that are normal: false alarms, if they were called anomalous.
        anomalous: Images that are anomalous: missed, if they were called normal.
        unjudged: Number of rows without a verdict.
    """

    normal: tuple[JudgedImage, ...]
    anomalous: tuple[JudgedImage, ...]
    unjudged: int = 0

    @classmethod
    def read(cls, table: str | Path, folders: Sequence[str | Path]) -> "Feedback":
        """Reads a table with the columns path and verdict.

        Args:
            table: `scores.csv` of `keras-rlr predict`, or Parquet of its `--engine
                ray`, with a column "verdict" beside the others, "normal", "anomalous"
                or empty; see `read_table`.
            folders: Folders that relative paths may be below; the first that has an
                image counts.

        Raises:
            FileNotFoundError: If the table or an image is not there.
            ImportError: If it is Parquet and pyarrow is not installed.
            ValueError: If a column or a verdict is unknown, or an image has both.
        """
        rows = _rows(table)
        judged = [row for row in rows if row[1]]
        _refuse_unknown(table, judged)
        found: dict[Path, tuple[str, JudgedImage]] = {}
        missing = []
        for where, verdict, path, category in judged:
            verdict = verdict.lower()
            file = _find(path, folders)
            if file is None:
                missing.append(f"{path} ({where})")
                continue
            before = found.setdefault(
                file.resolve(), (verdict, JudgedImage(path, file, category))
            )
            if before[0] != verdict:
                raise ValueError(
                    f"'{table}' says of '{path}' that it is {before[0]} and that it "
                    f"is {verdict}. Leave one row."
                )
        if missing:
            below = ", ".join(f"'{folder}'" for folder in folders)
            raise FileNotFoundError(
                f"{len(missing)} of {len(judged)} images of '{table}' are not below "
                f"{below} (the first: {missing[0]}). Name the folder that the paths "
                "are below with --feedback-images."
            )
        if not judged:
            raise ValueError(
                f"'{table}' has no verdict: write {NORMAL} or {ANOMALOUS} into the "
                f"column {_VERDICT} of images that were decided wrongly."
            )
        of = {
            verdict: tuple(image for said, image in found.values() if said == verdict)
            for verdict in (NORMAL, ANOMALOUS)
        }
        return cls(of[NORMAL], of[ANOMALOUS], len(rows) - len(judged))


def folder_of_table(table: str | Path) -> Path:
    """Returns the folder that a table of verdicts lies in, or is.

    Args:
        table: As of `Feedback.read`.

    Raises:
        ValueError: If it is at an address, where no images of this machine are.
    """
    if is_address(str(table)):
        raise ValueError(
            f"The table is at '{table}', and images are looked for on this machine. "
            "Say with --feedback-images below which folder its paths are."
        )
    return Path(table) if Path(table).is_dir() else Path(table).parent


def _rows(file):
    """Tuples of where a row is, its verdict, path and category."""
    table = read_table(file, (_PATH, _VERDICT), _ALSO, others_allowed=False)
    return [
        (where, row[_VERDICT].strip(), row[_PATH], row.get(_CATEGORY, "").strip())
        for where, row in table.rows
    ]


def _refuse_unknown(table, judged):
    wrong = [row for row in judged if row[1].lower() not in (NORMAL, ANOMALOUS)]
    if wrong:
        where, verdict = wrong[0][:2]
        raise ValueError(
            f"{len(wrong)} of {len(judged)} verdicts in '{table}' are unknown (the "
            f"first: {verdict[:40]!r} in {where}). Expected {NORMAL}, for a "
            f"false alarm, or {ANOMALOUS}, for an anomaly that was missed."
        )


def _find(path, folders):
    """The file of a path that is absolute or below one of some folders."""
    if not path.strip() or "\0" in path:
        return None
    for folder in folders:
        file = Path(folder) / path
        try:
            if file.is_file():
                return file
        except OSError:  # such as a name that is too long
            return None
    return None
