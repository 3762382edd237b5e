from collections.abc import Iterable
from pathlib import Path


def picture_names(paths: Iterable[str]) -> list[Path]:
    """The path of a `.png` of each image; `a.jpg.png` where `a.png` is taken.

    Args:
        paths: Of the images below their folder, with forward slashes.

    Returns:
        A path of each below the folder of pictures, in the same order.
    """
    names: list[Path] = []
    taken = set()
    for each in paths:
        path = Path(each)
        name = path.with_suffix(".png")
        while name in taken:
            path = path.with_name(path.name + ".png")
            name = path
        taken.add(name)
        names.append(name)
    return names
