from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from keras_rlr.addresses import is_address
from keras_rlr.evaluation.score_resized import folder_category, nearest_category


@dataclass(frozen=True)
class StoredImage:
    """An image that lies somewhere, and is read when it is needed.

    Args:
        name: What results call it.
        source: Its path or address, for messages.
        load: Returns its pixels, or raises OSError or ValueError.
        is_file: Whether `source` is the path of a file on this machine.
    """

    name: str
    source: str
    load: Callable[[], np.ndarray]
    is_file: bool

    def category(self, known: Collection[str]) -> str | None:
        """The category that the nearest folder around it is called like, or None.

        Args:
            known: Names of categories.
        """
        if self.is_file and not is_address(self.source):
            return folder_category(self.source, known)
        return nearest_category(PurePosixPath(self.source).parent.parts, known)
