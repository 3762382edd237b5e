"""Reads image files into arrays."""

import contextlib
import io
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_rlr.inputs.pillow_images import image_to_array

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp"),
    ".gif",
)
SUFFIXES_IN_WORDS = ".png, .jpg, .bmp, .tif, .webp or .gif"


class _Room:
    """Has threads wait that decode more pixels at a time than there is room for."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        # An image that is larger than all the room is decoded alone.
        pixels = min(pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


# While it is decoded a pixel takes 7 bytes.
_ROOM = _Room(80_000_000)


_ORIENTATION, _UPRIGHT = 0x0112, 1


_SUBFILE_TYPE, _REDUCED = 254, 1


class _Once:
    """Tells of the first file that has what most have not."""

    def __init__(self, applies: Callable[[Any], bool], says: str) -> None:
        self._applies, self._says = applies, says
        self._told = False
        self._lock = threading.Lock()

    def tell(self, image: Any, name: str) -> None:
        if self._told or not self._applies(image):
            return
        with self._lock:
            told, self._told = self._told, True
        if not told:
            warnings.warn(
                f"'{name}' {self._says} Further ones are not named.", stacklevel=4
            )


def _is_turned(image: Any) -> bool:
    return _orientation(image) != _UPRIGHT


def has_more_pages(image: Any) -> bool:
    """Whether an open image of Pillow has other pages or frames than its first.

    Smaller copies of the first page, as of pyramids, and what cameras keep beside a
    JPEG picture are none. The image's pixels must have been read.

    Args:
        image: The image.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return False
    if image.format != "TIFF":
        return True
    # Damaged files make Pillow raise nearly anything: there is no page to speak of.
    try:
        image.seek(1)
        return not int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & _REDUCED
    except Exception:
        return False


_OF_ORIENTATION = _Once(
    _is_turned,
    "has an orientation in its EXIF data, which is not applied: its pixels are taken "
    "as they are stored, where masks fit. `keras-rlr app` and an export's "
    "`serve_bytes` turn images upright, so they score it otherwise. Turn such images "
    "upright before training and scoring, or remove the orientation.",
)
_OF_PAGES = _Once(
    has_more_pages,
    "has several pages or frames, and only the first is looked at. Save those that "
    "are to be looked at as files of their own.",
)


def check_folder(folder: Path) -> None:
    """Refuses a path that is no folder.

    Raises:
        FileNotFoundError: if nothing is there.
        NotADirectoryError: if a file is there.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"There is no folder '{folder}'. Give the path of one that exists."
        )
    if not folder.is_dir():
        raise NotADirectoryError(
            f"'{folder}' is a file, but a folder is needed. Give the folder it is in."
        )


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image file.

    The formats are PNG, JPEG, BMP, TIFF, WebP and GIF, told by the content; no other
    decoder is ever run. Grey, grey with alpha, RGB, RGBA and 16-bit grey images
    keep their channels and depth. Palette images become RGB, or RGBA if the palette
    has transparency; 1-bit images become grey; CMYK, YCbCr and LAB become RGB. Of
    several pages or frames the first is read, and a warning names the first such file.
    Pillow gives 16-bit colour as 8-bit.
    The orientation in the EXIF data is not applied: pixels stay where the file has
    them, so masks drawn on the stored pixels fit. A warning names the first such file.
    Pillow itself turns TIFF files.

    Args:
        path: the file.

    Returns:
        uint8 array, or uint16 for 16-bit grey, of shape (height, width, channels)
        with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is empty, truncated, no image, of another format or
            depth, or has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`, where Pillow
            itself would only warn of a decompression bomb. Commands take
            `--allow-large-images`.

    Example:

    ```python
    import numpy as np
    from PIL import Image

    from keras_rlr.datasets import read_image

    Image.fromarray(np.zeros((20, 30, 3), "uint8")).save("black.png")
    read_image("black.png").shape  # (20, 30, 3)
    ```
    """
    return decode(Path(path), lambda image: _as_stored(image, str(path)))


def read_image_shape(path: str | Path) -> tuple[int, int]:
    """Reads the height and width of an image file, and no pixel of it.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no image, see `read_image`.
    """
    height, width = decode(
        Path(path), lambda image: np.array([image.height, image.width])
    )
    return int(height), int(width)


def read_image_bytes(content: bytes, name: str) -> np.ndarray:
    """Reads what is in an image file, as `read_image` does the file itself.

    Args:
        content: the bytes of the file.
        name: what errors call it.

    Returns:
        The array, see `read_image`.

    Raises:
        ValueError: if it can't be read.
    """
    return _decode_open(
        io.BytesIO(content), name, lambda image: _as_stored(image, name)
    )


def _as_stored(image: Any, name: str) -> np.ndarray:
    array = image_to_array(image)
    _OF_ORIENTATION.tell(image, name)
    _OF_PAGES.tell(image, name)
    return array


def _orientation(image: Any) -> int:
    try:
        number = image.getexif().get(_ORIENTATION, _UPRIGHT)
    # EXIF data that make no sense meet Pillow's parser with nearly anything.
    except Exception:
        return _UPRIGHT
    return number if number in range(2, 9) else _UPRIGHT


def decode(path: Path, to_array: Callable[[Any], np.ndarray]) -> np.ndarray:
    """Opens an image file and gives it to a function, with every error in words.

    Args:
        path: the file.
        to_array: makes an array of an open PIL image.

    Returns:
        What `to_array` makes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file can't be read, see `read_image`.
    """
    _check_regular(path)
    with path.open("rb") as file:
        return _decode_open(file, str(path), to_array)


def _check_regular(path: Path) -> None:
    """Refuses what is no file: reading a pipe would wait for ever, a device not end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no image file '{path}'. Check the path."
        ) from None
    # Links in a circle, names that are too long or have a zero byte.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(_unreadable(str(path), reason)) from error
    if not stat.S_ISREG(mode):
        what = "it is a folder, pipe or device, and no file"
        raise ValueError(_unreadable(str(path), what))


def _decode_open(
    file: BinaryIO, name: str, to_array: Callable[[Any], np.ndarray]
) -> np.ndarray:
    from PIL import Image

    if not file.read(1):
        raise ValueError(_unreadable(name, "it is empty"))
    file.seek(0)
    # Damaged files make Pillow's decoders raise nearly anything: OSError,
    # SyntaxError, struct.error, IndexError, and more.
    try:
        with Image.open(file, formats=IMAGE_FORMATS) as image:
            _check_pixel_count(image)
            with _ROOM.of(image.width * image.height):
                return to_array(image)
    except Image.UnidentifiedImageError as error:
        raise ValueError(_unreadable(name, "it is none")) from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(_unreadable(name, reason)) from error


def _unreadable(name: str, reason: str) -> str:
    return (
        f"'{name}' can't be read as an image: {reason}. Expected a complete PNG, "
        "JPEG, BMP, TIFF, WebP or GIF file of 8 bits a channel or 16-bit grey: restore "
        "or convert it, or remove it from the folder."
    )


def _check_pixel_count(image) -> None:
    from PIL import Image

    # Pillow refuses from twice this number on and warns below. Turning its warning
    # into an error would change the warning filters of all threads.
    limit = Image.MAX_IMAGE_PIXELS
    count = image.width * image.height
    if limit is not None and count > limit:
        raise ValueError(
            f"its {count} pixels exceed PIL.Image.MAX_IMAGE_PIXELS ({limit}), which "
            "guards against files that are made to fill the memory (if you trust it: "
            "--allow-large-images, or PIL.Image.MAX_IMAGE_PIXELS = None)"
        )
