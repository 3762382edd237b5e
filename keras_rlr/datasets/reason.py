import enum


class Reason(enum.Enum):
    """Why a file or a folder is left out: of one, of several, and if it is no news."""

    UNKNOWN = "file of unknown kind", "files of unknown kind"
    NO_SUFFIX = "file without a suffix", "files without a suffix"
    BROKEN_LINK = "broken link", "broken links"
    SPECIAL = "pipe, socket or device", "pipes, sockets or devices"
    JUNK = (
        "thumbnail or other file of a system or viewer",
        "thumbnails and other files of systems and viewers",
    )
    GUESS = (
        "file in folders or of a name that would make its label a guess",
        "files in folders or of names that would make their labels a guess",
    )
    LOOSE = (
        "image directly in train or test, and not in a folder of good or of a defect",
        "images directly in train or test, and not in folders of good or of a defect",
    )
    NOT_TRAINED_ON = (
        "image to train on that is not normal",
        "images to train on that are not normal",
    )
    OUTSIDE = "image in no folder of the layout", "images in no folders of the layout"
    NOT_IN_TABLE = (
        "image that the table of the splits does not name",
        "images that the table of the splits does not name",
    )
    NO_IMAGE = "mask of no image", "masks of no image"
    MASK_BESIDE = (
        "mask beside its image, for there is a folder of masks too",
        "masks beside their images, for there is a folder of masks too",
    )
    MASK = (
        "mask (score a folder of masks by naming it)",
        "masks (score a folder of masks by naming it)",
    )
    DEPTH = "depth map", "depth maps"
    VALIDATION = (
        "image for validation, neither trained nor tested on",
        "images for validation, neither trained nor tested on",
    )
    NO_LABEL = "test image without a label", "test images without labels"
    MISSED_LINK = (
        "link to a folder that is read already",
        "links to folders that are read already",
    )
    UNREADABLE = "folder that can't be listed", "folders that can't be listed"
    EMPTY = "empty folder", "empty folders"
    HIDDEN = "hidden file", "hidden files", True
    DOCUMENT = "text or list for people", "texts and lists for people", True
    NOT_CHOSEN = (
        "file of categories that are not chosen",
        "files of categories that are not chosen",
        True,
    )

    def __init__(self, one: str, many: str, quiet: bool = False):
        self.one = one
        self.many = many
        self.quiet = quiet

    def count(self, number: int) -> str:
        """The reason with a number."""
        return f"{number} {self.one if number == 1 else self.many}"
