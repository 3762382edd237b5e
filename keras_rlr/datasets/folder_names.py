"""What names of folders and files say: one table for all layouts."""

import itertools
import re
import unicodedata

# Known names, compared without case.
NORMAL_NAMES = {"good", "ok", "normal"}
ANOMALOUS_NAMES = {
    *("abnormal", "anomalies", "anomalous", "anomaly", "bad", "defect", "defective"),
    *("defects", "faulty", "ko", "ng", "nio", "nok", "notgood", "notok", "nogood"),
}
MASK_NAMES = {
    *("annotation", "annotations", "groundtruth", "groundtruths", "gt", "gts", "label"),
    *("labels", "mask", "masks", "seg", "segmentation", "segmentations", "segs"),
}
IMAGE_NAMES = {"image", "images", "img", "imgs", "rgb"}
DEPTH_NAMES = {"depth", "pcd", "pointcloud", "xyz"}

# A folder is probably one of normal images if its name has one of these words, as
# "ok-new", or is one of the further ones, and nothing in it speaks of a defect.
_NORMAL_WORDS = {"good", "goods", "normal", "normals", "ok", "okay", "oks"}
_NORMAL_BEGINNINGS = ("good", "normal")
_NORMAL_WHOLE = {
    *("bon", "bons", "bueno", "buono", "clean", "conform", "correct", "flawless"),
    *("golden", "gut", "healthy", "intact", "io", "neg", "negative", "negatives"),
    *("nominal", "pass", "passed", "perfect", "reference", "references"),
    *("合格", "良品", "正常"),
}
_ANOMALOUS_WORDS = {*ANOMALOUS_NAMES, "cut", "wrong"}
_ANOMALOUS_BEGINNINGS = (
    *("anomal", "bent", "blem", "brok", "burn", "chip", "contamin", "crack", "damag"),
    *("defect", "deform", "dent", "dirt", "error", "fail", "fault", "flaw", "hole"),
    *("miss", "reject", "scrap", "scratch", "stain", "swap", "torn", "worn"),
)
_NEGATIONS = {"isnt", "n", "no", "non", "not", "un"}
_DEFECT = "anomal|blem|damag|defect|error|fault|flaw"
_FREE_OF_DEFECTS = re.compile(
    rf"^(no|non|not|un|without|zero)({_DEFECT})|({_DEFECT})[a-z]*?(free|less)$"
)
_CLASS_ZERO = re.compile(r"((class|label)[ _-]*)?0+")
# Words that say nothing of whether an image is normal.
_NEUTRAL = {
    *("all", "batch", "copy", "data", "dataset", "extra", "final", "folder", "image"),
    *("images", "img", "imgs", "more", "new", "old", "part", "parts", "photo"),
    *("photos", "pic", "pics", "picture", "pictures", "png", "sample", "samples"),
    *("set", "test", "testing", "train", "training", "v"),
}
_SURE_MASK_WORDS = MASK_NAMES - {"label", "labels"}  # a label may have a defect
_MASK_WORDS = {
    *MASK_NAMES,
    *("anomalies", "anomalous", "anomaly", "binary", "bad", "defect", "defects"),
    *("ground", "pixel", "truth"),
}

# What systems and viewers leave behind.
_JUNK_FOLDERS = {
    *("#recycle", "$recycle.bin", ".thumbnails", ".thumbs", "@eadir", "@recycle"),
    *("@tmp", "__macosx", "__pycache__", "lost+found", "system volume information"),
    *("thumbnails", "thumbs"),
}
_JUNK_FILES = {"desktop.ini", "ehthumbs.db", "icon\r", "thumbs.db"}
# Papers, and files that published data sets come with.
_DOCUMENT_SUFFIXES = (".bib", ".htm", ".html", ".md", ".pdf", ".rst", ".txt")
_DOCUMENT_NAMES = {
    *("2cls_fewshot.csv", "2cls_highshot.csv", "camera_parameters.json", "copying"),
    *("defects_config.json", "image_anno.csv", "licence", "license", "notice"),
    *("readme", "sha256sums"),
}
_MASK_ENDING = re.compile(r"(.+)_(mask|label|gt)", re.IGNORECASE | re.DOTALL)
_THUMBNAIL = re.compile(
    r"(?:thumb(?:nail)?[_-](?P<a>.+)|(?P<b>.+)[._-]thumb(?:nail)?)",
    re.IGNORECASE | re.DOTALL,
)


def is_normal(name: str) -> bool:
    """Whether a folder's name is a known one of normal images."""
    return name.casefold() in NORMAL_NAMES


def is_anomalous(name: str) -> bool:
    """Whether a folder's name is a known one of anomalous images of any kind."""
    return "".join(_words(name)) in ANOMALOUS_NAMES


def looks_normal(name: str) -> bool:
    """Whether a folder is probably one of normal images, by its name."""
    if is_normal(name) or _CLASS_ZERO.fullmatch(name.casefold()):
        return True
    words = [word for word in _words(name) if word not in _NEUTRAL]
    whole = "".join(words)
    if whole in _NORMAL_WHOLE or _FREE_OF_DEFECTS.search(whole):
        return True
    if any(
        word in _ANOMALOUS_WORDS or word.startswith(_ANOMALOUS_BEGINNINGS)
        for word in words
    ):
        return False
    return any(
        (word in _NORMAL_WORDS or word.startswith(_NORMAL_BEGINNINGS))
        and before not in _NEGATIONS
        for before, word in itertools.pairwise(["", *words])
    )


def is_masks(name: str) -> bool:
    """Whether a folder's name is a known one of masks."""
    return _has_no_digits(name) and "".join(_words(name)) in MASK_NAMES


def looks_masks(name: str, siblings: set[str]) -> bool:
    """Whether a folder is probably one of masks, by its name and those beside it."""
    ending = _MASK_ENDING.fullmatch(re.sub(r"[ -]", "_", name).removesuffix("s"))
    if ending and any(_same(ending[1], sibling) for sibling in siblings - {name}):
        return True
    words = [word for word in _words(name) if word not in _NEUTRAL]
    whole = {"".join(words)} & MASK_NAMES
    some = bool(set(words) & _SURE_MASK_WORDS) and set(words) <= _MASK_WORDS
    return bool(whole) or some or "masks" in words


def looks_images(name: str) -> bool:
    """Whether a folder's name says that it has images, and not of which kind."""
    return "".join(_words(name)) in IMAGE_NAMES and _has_no_digits(name)


def is_depth(name: str) -> bool:
    """Whether a folder's name says that it has depth maps or clouds of points."""
    return name.casefold() in DEPTH_NAMES


def is_junk_folder(name: str) -> bool:
    """Whether a system or a viewer made a folder for itself."""
    return name.casefold() in _JUNK_FOLDERS


def is_junk_file(name: str) -> bool:
    """Whether a system or a viewer made a file for itself."""
    return name.casefold() in _JUNK_FILES


def is_document(name: str) -> bool:
    """Whether a file is to be read by people, or by nobody in a published data set."""
    name = name.casefold()
    return name in _DOCUMENT_NAMES or name.endswith(_DOCUMENT_SUFFIXES)


def without_mask_ending(stem: str) -> str | None:
    """Of a name without suffix that ends as a mask's, the image's; else None."""
    match = _MASK_ENDING.fullmatch(stem)
    return match[1] if match else None


def thumbnail_of(stem: str) -> str | None:
    """Of a thumbnail's name without suffix, the image's; else None."""
    match = _THUMBNAIL.fullmatch(stem)
    return (match["a"] or match["b"]) if match else None


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    return re.findall(r"[^\W\d_]+", spaced.casefold())


def _has_no_digits(name: str) -> bool:
    return not any(character.isdigit() for character in name)


def _same(one: str, other: str) -> bool:
    return one.casefold() == re.sub(r"[ -]", "_", other).casefold()
