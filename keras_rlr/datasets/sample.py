from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One image of a data set, not yet read.

    Args:
        image: its file.
        label: 0 for normal, 1 for anomalous.
        mask: the file with its anomalous pixels; None if there is none.
        category: the product it shows.
        defect_type: `"good"`, or the name of the folder of defects.
        path: its place below the data set's folder, with forward slashes.
    """

    image: Path
    label: int
    mask: Path | None
    category: str
    defect_type: str
    path: str
