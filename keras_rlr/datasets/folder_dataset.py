import copy
import hashlib
import operator
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from keras_rlr.category_names import known_name
from keras_rlr.datasets.image_files import read_image, read_image_shape
from keras_rlr.datasets.mask_files import read_masks
from keras_rlr.datasets.read_dataset import read_dataset
from keras_rlr.datasets.sample import Sample

_END = 4096


class FolderDataset:
    """A data set of folders: a sequence of images with their labels.

    The layout is found by itself. MVTec AD's, and that of most sets of the field:

    ```
    CATEGORY/train/good/*.png             normal images; nothing else is trained on
    CATEGORY/test/good/*.png              normal images
    CATEGORY/test/DEFECT/*.png            anomalous images
    CATEGORY/ground_truth/DEFECT/*.png    masks, NAME_mask.png or NAME.png; optional
    ```

    Its relatives: BTAD, MVTec LOCO AD (several masks of an image), MVTec AD 2 and
    MVTec 3D AD (colour images). "good" may be "ok" or "normal", in any case. VisA's, as
    published (`split_csv/1cls.csv` says which image is for what) or as converted by
    Amazon's script. KolektorSDD's: each image has its mask beside it, all black if it
    is normal; all anomalous images and the normal ones of every fifth item are for
    testing. And plain folders, in the folder itself or in one of each category:

    ```
    normal/*          normal images
    normal_test/*     normal images for testing; without it, every fifth of normal/*
    anomalous/*       anomalous images, for testing; in folders by kind or not
    masks/*           NAME_mask.png or NAME.png in the same folders; optional
    ```

    Files that end in `_mask`, `_label` or `_GT` beside an image are its masks. Folders
    are searched when the data set is made, and mistakes in the layout are found then;
    images are read when they are asked for. What files can be images says
    `find_images`. `account` tells what every file below `path` is used as, or why it
    is left out; a warning says in one line what is left out. A folder of `test` that
    may be one of normal images or of masks by its name, as `good_2`, is refused.

    Args:
        path: the folder with the categories, or the folder of one category.
        split: `"train"` or `"test"`.
        categories: the categories to read; None reads all.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if `path` is a file.
        ValueError: if the folder has another layout, a category is unknown or has no
            image in the split, a label would be a guess, an anomalous image has no
            mask although its category has masks, a mask has no image, or masks are
            JPEG files.

    Example:

    ```python
    from keras_rlr.datasets import FolderDataset, write_procedural_dataset

    write_procedural_dataset("products", train_per_category=2, test_normal=1)
    test = FolderDataset("products", split="test")
    element = test[0]
    element["image"].shape, element["label"], element["defect_type"]
    ```

    Source: Bergmann et al., "MVTec AD", CVPR 2019.
    """

    # Elements may be read on several threads, and that is worth while.
    reads_files = True

    def __init__(
        self,
        path: str | Path,
        split: Literal["train", "test"] = "train",
        categories: Iterable[str] | None = None,
    ):
        if split not in ("train", "test"):
            raise ValueError(f"split must be 'train' or 'test', but it is {split!r}.")
        self.path = Path(path)
        self.split = split
        found = read_dataset(self.path)
        reading = found.reading
        self.layout: str = reading.layout
        samples: list[Sample] = []
        chosen = _choose_categories(found.categories, categories, self.path)
        for name in chosen:
            for problem in reading.problems_of(name, split):
                raise ValueError(problem)
            if (name, split) in found.empty:
                raise ValueError(found.empty[name, split])
            samples += reading.samples(name, split)
        self._with_masks = {s.category for s in samples if s.label and s.masks}
        self._samples = tuple(samples)
        self.account = reading.account(chosen)
        for sentence in (*self.account.warnings, self.account.left_out_summary()):
            if sentence:
                # Of this line, whoever calls, so that it is said once a process.
                warnings.warn(sentence, stacklevel=1)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The images in order: by category, defect type and name."""
        return self._samples

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the categories that have images here, sorted."""
        return tuple(sorted({sample.category for sample in self.samples}))

    @property
    def has_masks(self) -> bool:
        """Whether every element has a "mask"."""
        return bool(self.samples) and self._with_masks.issuperset(self.categories)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Reads one image.

        Args:
            index: position in `samples`.

        Returns:
            A dict with `"image"` (uint8 or uint16 array (height, width, channels),
            see `read_image`), `"label"` (0 or 1), `"category"`, `"defect_type"` and
            `"path"` (below the data set's folder, with forward slashes). Elements of
            the test split have a `"mask"` too, unless their category has no masks: a
            uint8 array (height, width), 1 where one of the mask's files is above 0,
            all 0 for a normal image. A mask of another size than its image, but of its
            proportions, is resized to it by nearest neighbour.

        Raises:
            IndexError: if there is no such position.
            ValueError: if the image or its mask can't be read, they can't belong
                together, or the mask of a normal image has anomalous pixels.
        """
        sample = self.samples[operator.index(index)]
        image = read_image(sample.image)
        element = {
            "image": image,
            "label": sample.label,
            "category": sample.category,
            "defect_type": sample.defect_type,
            "path": sample.path,
        }
        if sample.masks or sample.category in self._with_masks:
            mask = read_masks(sample, *image.shape[:2])
            if sample.category in self._with_masks:
                element["mask"] = mask
        return element

    def subset(self, indices: Iterable[int]) -> "FolderDataset":
        """Selects some of the images.

        Args:
            indices: positions in `samples`; the result keeps their order.

        Returns:
            A data set of these images.

        Raises:
            IndexError: if there is no such position.
        """
        subset = copy.copy(self)
        subset._samples = tuple(self.samples[operator.index(i)] for i in indices)
        return subset

    def image_shape(self, index: int) -> tuple[int, int]:
        """Reads the height and width of one image, and no pixel of it.

        Args:
            index: position in `samples`.

        Raises:
            IndexError: if there is no such position.
            ValueError: if the file is no image.
        """
        return read_image_shape(self.samples[operator.index(index)].image)

    def image_keys(self) -> list[str]:
        """Tells images apart without reading them whole, for a `FeatureCache`.

        Returns:
            For each image the hexadecimal SHA-256 of its path below the data set's
            folder, its label, size and time of last change, and of the first and
            last 4096 bytes of its file: archives give products files of one name,
            size and time.
        """
        return [
            _sha256(f"{s.path}\0{s.label}\0{_state(s.image)}\0{_ends(s.image).hex()}")
            for s in self.samples
        ]

    def fingerprint(self) -> str:
        """Tells whether the images are the same as before, without reading them.

        Returns:
            The hexadecimal SHA-256 of each image's path below the data set's
            folder, and of its size and time of last change and those of its masks,
            in order.
        """
        lines = []
        for sample in self.samples:
            states = map(_state, (sample.image, *sample.masks))
            lines.append("\0".join([sample.path, *states]) + "\n")
        return _sha256("".join(lines))


def _state(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size}\0{status.st_mtime_ns}"


def _ends(file: Path) -> bytes:
    with open(file, "rb") as stream:
        first = stream.read(_END)
        stream.seek(max(len(first), file.stat().st_size - _END))
        return first + stream.read(_END)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _choose_categories(
    found: list[str], categories: Iterable[str] | None, path: Path
) -> list[str]:
    if categories is None:
        return found
    if isinstance(categories, str):
        categories = [categories]
    chosen = sorted({known_name(name, found) or name for name in categories})
    unknown = [name for name in chosen if name not in found]
    if unknown or not chosen:
        problem = f"has no category '{unknown[0]}'" if unknown else "was given none"
        raise ValueError(
            f"The data set '{path}' {problem}. Choose from: {', '.join(found)}."
        )
    return chosen
