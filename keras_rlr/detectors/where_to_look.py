import warnings

import numpy as np

from keras_rlr.category_names import known_names
from keras_rlr.detectors.region_of_interest import RegionOfInterest

RECOGNIZE = -1


class WhereToLook:
    """What a batch says of where to look on its images, beside what the model knows.

    Called with the categories of some images (None where unknown) and their positions
    in the data set, it returns a dict of arrays, a row an image: "product", the row of
    the region's table that is the given category's, or -1 where the category is to be
    recognised; "region", boolean masks (images, height, width).

    Args:
        region: The model's `RegionOfInterest`, or None.
        known: The categories that the model recognises.
        size: (height, width) of maps.
        regions: Of each image of the data set a region that holds beside the model's,
            in a form that `RegionOfInterest.of` takes, or None to look at all of it.
            None if no image has one.
    """

    def __init__(self, region, known, size, regions=None):
        self._size, self._regions = size, regions
        self._is_known, self._rows = bool(known), None
        if region is not None and region.names:
            others = len(region.names)
            self._rows = dict.fromkeys(known, others)
            own = known_names(region.names, known)
            self._rows |= {name: row for row, name in enumerate(own)}
            # A name that says nothing to a model that can recognise the image, as for
            # thresholds.
            self._of_strange = RECOGNIZE if known else others
        self._told = False

    @property
    def says_nothing(self):
        """Whether there is nothing that a batch would have to say."""
        return self._rows is None and self._regions is None

    @property
    def names(self):
        """The categories that it tells apart; none where the model recognises none."""
        return () if self._rows is None or not self._is_known else tuple(self._rows)

    def __call__(self, categories, positions):
        """Returns the arrays; see the class."""
        arrays = {}
        if self._rows is not None:
            rows = [
                RECOGNIZE if name is None else self._rows.get(name, self._of_strange)
                for name in known_names(categories, self._rows)
            ]
            arrays["product"] = np.array(rows, "int32")
            if RECOGNIZE in rows and not self._is_known:
                self._warn()
        if self._regions is not None:
            masks = [self._mask(self._regions[i]) for i in positions]
            arrays["region"] = np.array(masks, bool).reshape(-1, *self._size)
        return arrays

    def _mask(self, given):
        region = RegionOfInterest.of(given, self._size)
        return np.ones(self._size, bool) if region is None else region.inside

    def _warn(self):
        if not self._told:
            self._told = True
            warnings.warn(
                "The model has a region of interest by category, and recognises no "
                "categories yet: images that come without one are looked at whole. "
                "Calibrate it on normal images with categories.",
                stacklevel=4,
            )
