"""Arrays in files that are there whole or not at all."""

from pathlib import Path

import numpy as np

from keras_rlr.atomic_file import atomic_path


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Writes an array as a NumPy file, whole or not at all.

    Args:
        path: Where the file is to be; see `atomic_path`.
        array: The array, of numbers.

    Raises:
        OSError: If it can't be written; of a full disk it says so by its number, which
            `np.save` does not.
    """
    array = np.ascontiguousarray(array)
    header = np.lib.format.header_data_from_array_1_0(array)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)
