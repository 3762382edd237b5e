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
        more_masks: further files with anomalous pixels, where each defect of an image
            has a mask of its own.
    """

    image: Path
    label: int
    mask: Path | None
    category: str
    defect_type: str
    path: str
    more_masks: tuple[Path, ...] = ()

    @property
    def masks(self) -> tuple[Path, ...]:
        """All files with anomalous pixels."""
        return () if self.mask is None else (self.mask, *self.more_masks)
