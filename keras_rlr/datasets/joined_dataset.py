import bisect
import hashlib
import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from keras_rlr.datasets.folder_dataset import FolderDataset
from keras_rlr.datasets.sample import Sample


class JoinedDataset:
    """Data sets of several folders as one, one after the other.

    Args:
        parts: `FolderDataset`s of the same split; those without images do no harm.

    Example:

    ```python
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.datasets.joined_dataset import JoinedDataset

    both = JoinedDataset([FolderDataset("bottles"), FolderDataset("pills")])
    both.categories, len(both)
    ```
    """

    # As of `FolderDataset`.
    reads_files = True

    def __init__(self, parts: Sequence[FolderDataset]) -> None:
        self.parts = tuple(part for part in parts if len(part))
        self._ends = list(itertools.accumulate(map(len, self.parts)))

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The images in order."""
        return tuple(itertools.chain.from_iterable(p.samples for p in self.parts))

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the categories that have images here, sorted."""
        return tuple(sorted({sample.category for sample in self.samples}))

    def __len__(self) -> int:
        """Number of images."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Reads one image; see `FolderDataset`.

        Args:
            index: position in `samples`.
        """
        part, index = self._place_of(index)
        return part[index]

    def image_shape(self, index: int) -> tuple[int, int]:
        """Reads the height and width of one image; see `FolderDataset`.

        Args:
            index: position in `samples`.
        """
        part, index = self._place_of(index)
        return part.image_shape(index)

    def _place_of(self, index: int) -> tuple[FolderDataset, int]:
        index = range(len(self))[operator.index(index)]
        part = bisect.bisect_right(self._ends, index)
        return self.parts[part], index - (self._ends[part - 1] if part else 0)

    def subset(self, indices: Iterable[int]) -> "JoinedDataset":
        """Selects some of the images.

        Args:
            indices: positions in `samples`, ascending.
        """
        chosen = {range(len(self))[operator.index(i)] for i in indices}
        starts = [0, *self._ends]
        return JoinedDataset(
            [
                part.subset([i for i in range(len(part)) if start + i in chosen])
                for start, part in zip(starts, self.parts, strict=False)
            ]
        )

    def image_keys(self) -> list[str]:
        """Tells images apart without reading them whole; see `FolderDataset`."""
        return list(itertools.chain.from_iterable(p.image_keys() for p in self.parts))

    def fingerprint(self) -> str:
        """Tells whether the images are the same as before; see `FolderDataset`."""
        if len(self.parts) == 1:
            return self.parts[0].fingerprint()
        text = "\n".join(part.fingerprint() for part in self.parts)
        return hashlib.sha256(text.encode()).hexdigest()
