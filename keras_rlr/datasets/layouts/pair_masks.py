from pathlib import Path

from keras_rlr.datasets.folder_names import without_mask_ending


def pair_masks(
    images: dict[Path, str], masks: dict[Path, str]
) -> tuple[dict[Path, tuple[Path, ...]], list[Path]]:
    """Finds the masks of each image.

    The mask of `a/b` is `a/b_mask` (or `_label`, `_GT`) or, without that, `a/b`; or
    all that are in the folder `a/b`.

    Args:
        images: the images' files, with what masks are called after.
        masks: the masks' files, with the same.

    Returns:
        The masks of each image that has some, and the masks that belong to none.
    """
    ended: dict[str, list[Path]] = {}
    exact: dict[str, list[Path]] = {}
    inside: dict[str, list[Path]] = {}
    for mask in sorted(masks):
        parent, slash, stem = masks[mask].rpartition("/")
        exact.setdefault(masks[mask], []).append(mask)
        inside.setdefault(parent, []).append(mask)
        of = without_mask_ending(stem)
        if of is not None:
            ended.setdefault(parent + slash + of, []).append(mask)
    free = dict.fromkeys(sorted(masks))
    matched: dict[Path, tuple[Path, ...]] = {}
    for image, key in images.items():
        for mask in (*ended.get(key, ()), *exact.get(key, ())):
            if mask in free:
                matched[image] = (mask,)
                del free[mask]
                break
    for image, key in images.items():
        several = tuple(mask for mask in inside.get(key, ()) if mask in free)
        if image not in matched and several:
            matched[image] = several
            for mask in several:
                del free[mask]
    return matched, list(free)
