import operator
from typing import Any

import keras

from keras_rlr.category_names import known_name
from keras_rlr.detectors.known_categories import UNKNOWN


class OnThresholds(keras.Model):
    """A Keras model that has thresholds, and what users ask of them."""

    thresholds: Any
    trained_categories: Any

    def quantize(self, *args, **kwargs):
        """Refused: neither its file nor its thresholds would be those of the model.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"{type(self).__name__} can't be quantized in place: what is saved then "
            "can't be loaded, and the thresholds are of other scores. Export it, as "
            "with export(path, format='litert', quantize='int8'), or use "
            "compact('mixed_bfloat16'), a copy that computes in 16 bits."
        )

    @property
    def threshold(self):
        """The score from which on an image is anomalous, or None before `calibrate`."""
        return self.thresholds.threshold

    @property
    def pixel_threshold(self):
        """The value from which on a map's pixel is anomalous, set by `calibrate` too.

        It is that of all products together: see `pixel_threshold_of` for those of each.
        None before, and of files whose version had none.
        """
        return self.thresholds.pixels.of_all

    def pixel_threshold_of(self, category):
        """Returns the pixel threshold of a product, as `predict --regions` uses it.

        Args:
            category: A number from "category" of `predict`, or a product's name. -1 (an
                image shows no product that the model knows) and None stand for all
                products together.

        Returns:
            A Python float: the product's own or, where it has none, `pixel_threshold`.
            None before `calibrate`, and of files whose version had none.

        Raises:
            ValueError: If the model has no such category.

        Example:

        ```python
        out = model.predict(images)
        threshold = model.pixel_threshold_of(out["category"][0])
        regions = keras_rlr.regions(out["anomaly_map"][0], threshold)
        ```
        """
        return self.thresholds.pixels.of(self._name_of(category))

    @property
    def known_categories(self):
        """Names of the products that it recognises: "category" of `predict` counts."""
        return self.thresholds.known.names

    def _name_of(self, category):
        """The name of a category that is given by its name or number, or None."""
        recognised = self.known_categories
        if category is None:
            return None
        if isinstance(category, str):
            own = self.thresholds.by_category
            names = dict.fromkeys((*recognised, *own, *self.trained_categories))
            name = known_name(category, names)
            if name is not None:
                return name
            raise ValueError(
                f"The model knows no category {category!r}. Expected one of "
                f"{', '.join(names) or 'none'}, or None for all products together."
            )
        try:
            number = operator.index(category)
        except TypeError:
            number = None
        if number is None or not UNKNOWN <= number < len(recognised):
            raise ValueError(
                f"`category` must be a number from {UNKNOWN} to {len(recognised) - 1}, "
                'as "category" of `predict` has them, a name or None. Received: '
                f"{category!r}. Give those of several images one by one."
            )
        return None if number == UNKNOWN else recognised[number]
