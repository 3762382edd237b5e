"""Where on images a detector looks: of all images, by product, or by image."""

import contextlib
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.category_names import known_name
from keras_rlr.detectors.region_of_interest import RegionOfInterest, outputs_within
from keras_rlr.detectors.where_to_look import WhereToLook


class OnRegions(keras.Model):
    """A Keras model whose maps and scores are of a region of interest alone."""

    map_size: Any
    thresholds: Any
    trained_categories: Any
    _region: RegionOfInterest | None = None
    # Of the products that the graph of `predict` recognises.
    _statistics_in_graph: Any = None
    # What a graph has for the lowest pixel threshold; empty where none needs it.
    _lowest_in_graph: tuple[float | None, ...] = ()

    @property
    def region_of_interest(self):
        """Where to look: boolean array (height, width) of `map_size`; None for all.

        By the product that an image shows, it is a dict of such arrays: images of other
        products, and of none that the model knows, are looked at whole unless the dict
        has a mask for None. Which product it is, the model recognises, unless it is
        given; see `predict`.

        What is set may also be a mask of any size, above 0 where to look, or a box
        (left, top, width, height) in shares of the image's sides, or a dict of such.
        Thresholds stay: they are too high for less than what they were set for, and too
        low for more.

        Raises:
            ValueError: If nothing would be left to look at, or masks are by category
                and the model can't recognise them.
        """
        return self._region and self._region.arrays

    @region_of_interest.setter
    def region_of_interest(self, given):
        self.look_within(RegionOfInterest.of(given, self.map_size))

    @property
    def common_region(self):
        """Where to look on all images: boolean array, or None.

        None where that depends on the product: what images show is not known yet when
        they are measured.
        """
        arrays = self.region_of_interest
        return None if isinstance(arrays, dict) else arrays

    def ignore(self, given):
        """Takes a part of images out of the region of interest.

        Args:
            given: Where not to look, as of `region_of_interest`.

        Raises:
            ValueError: As of `region_of_interest`.
        """
        region = RegionOfInterest.ignoring(given, self.map_size)
        if self._region is not None:
            region = self._region.within_too(region)
        self.look_within(region)

    def look_within(self, region):
        """Sets the region of interest.

        Args:
            region: A `RegionOfInterest`, or None.

        Raises:
            ValueError: If it is of categories that the model does not know.
        """
        if region is not None and region.names:
            self._check_names(region.names)
        self._set_region(region)

    @contextlib.contextmanager
    def looking_within(self, region):
        """A context in which a `RegionOfInterest`, or None, is looked at."""
        before = self._region
        self.look_within(region)
        try:
            yield
        finally:
            self._set_region(before)

    @property
    def region_fingerprint(self):
        """Text that two models share where they look at the same part of images."""
        return "" if self._region is None else self._region.fingerprint()

    def forget_thresholds_of_other_regions(self):
        """Forgets thresholds that were set while another part was looked at."""
        region = self.thresholds.region
        if region is None or region == self.region_fingerprint:
            return
        self.thresholds.forget()
        warnings.warn(
            "The thresholds of the file were set while the model looked at another "
            "part of the images than this one does, so they were not taken; the other "
            "weights were. Set `region_of_interest` as it was before loading, or "
            "calibrate.",
            stacklevel=3,
        )

    def forget_region_of(self, category):
        """Removes the mask of a category, and returns whether there was one."""
        if self._region is None or self._region.own_name(category) is None:
            return False
        is_theirs = self.thresholds.region == self.region_fingerprint
        self._set_region(self._region.without(category))
        if is_theirs:
            # The other categories' thresholds stay what they are.
            self.thresholds.region = self.region_fingerprint
        return True

    def _set_region(self, region):
        self._region = region
        self.forget_compiled_functions()

    def _check_names(self, names):
        known = self.thresholds.known.names
        if self.thresholds.threshold is not None and not known:
            raise ValueError(
                "A region of interest by category needs a model that recognises "
                "products by their images, and this one does not: it was calibrated on "
                "images without categories, on too few, or on products that look too "
                "much alike. Calibrate it on more normal images with their categories, "
                "or give one mask or box for all images."
            )
        # Before it is calibrated, it is known at most what it was trained on.
        known = known or self.trained_categories
        unknown = [name for name in names if not known_name(name, known)]
        if known and unknown:
            raise ValueError(
                f"The region of interest has a mask for {', '.join(unknown)}, which "
                f"the model does not know. It knows {', '.join(known)}."
            )

    def warn_of_unrecognized_regions(self):
        """Warns of masks of categories that a calibrated model does not recognise."""
        known = self.thresholds.known.names
        names = () if self._region is None else self._region.names
        missing = [name for name in names if not known_name(name, known)]
        if missing:
            knows = f"It recognises {', '.join(known)}." if known else ""
            warnings.warn(
                f"The region of interest has masks of {', '.join(missing)}, which the "
                "model does not recognise by their images: they hold where a category "
                f"is given, and other images are looked at whole. {knows}".rstrip(),
                stacklevel=4,
            )

    def where_to_look(self, regions=None):
        """Returns what adds to batches where to look, or None if that is nothing.

        Args:
            regions: See `WhereToLook`.
        """
        known = self.thresholds.known.names
        look = WhereToLook(self._region, known, self.map_size, regions)
        return None if look.says_nothing else look

    def looks_at_parts(self, batch):
        """Whether anything of the images of a batch is not looked at.

        Args:
            batch: Images, or a dict.
        """
        by_image = isinstance(batch, dict) and "region" in batch
        return by_image or self._region is not None

    def described(self, batch):
        """Returns a batch for which the model says of which product an image is.

        Args:
            batch: Images, or a dict. It is returned as it is where nothing depends on
                the product.
        """
        if self._region is None or not (
            self._region.names and self.thresholds.known.names
        ):
            return batch
        batch = batch if isinstance(batch, dict) else {"image": batch}
        if "describe" in batch:
            return batch
        # Of no value: by its name the model knows what is asked for.
        first = ops.convert_to_tensor(batch["image"])[:, 0, 0, 0]
        return {**batch, "describe": ops.zeros_like(first, dtype="float32")}

    def within_region(self, outputs, batch=None):
        """Returns outputs of where to look alone.

        Args:
            outputs: Dict of tensors of whole images, see `outputs_within`.
            batch: What they are of. Of a dict "region" and "product" count, see
                `WhereToLook`, and "image_features" is left in the outputs if there is
                "describe".
        """
        batch = batch if isinstance(batch, dict) else {}
        inside = self._inside(outputs, batch)
        kept = dict(outputs)
        if inside is not None:
            lowest = self.thresholds.pixels.lowest
            self._lowest_in_graph = (lowest,)
            kept = outputs_within(outputs, inside, lowest)
        kept.pop("score_map", None)
        if "describe" not in batch:
            kept.pop("image_features", None)
        return kept

    def _inside(self, outputs, batch):
        """Boolean tensor of where to look, or None for everywhere."""
        inside = None
        if self._region is not None:
            inside = self._region.inside
            rows = self._rows_of_table(self._region, outputs, batch)
            if rows is not None:
                table = ops.convert_to_tensor(self._region.table())
                inside = ops.take(table, rows, axis=0)
        if "region" not in batch:
            return inside
        own = ops.convert_to_tensor(batch["region"])
        return own if inside is None else ops.logical_and(own, inside)

    def _rows_of_table(self, region, outputs, batch):
        """int32 tensor (batch,): which mask is whose; None if all have the last."""
        known = self.thresholds.known
        names = (*region.names, None)  # The last row is that of all others.
        given = batch.get("product")
        others = len(region.names)
        if not others:
            return None
        if known.names:
            nearest, is_known = known.recognize(outputs["image_features"])
            own = [names.index(region.own_name(name)) for name in known.names]
            own = ops.convert_to_tensor(np.array(own, "int32"))
            rows = ops.where(is_known, ops.take(own, nearest, axis=0), others)
            if given is None:
                return rows
        elif given is None:
            return None
        else:
            rows = ops.full_like(ops.convert_to_tensor(given), others)
        return ops.where(ops.less(given, 0), rows, given)

    def make_predict_function(self, force=False):
        """As Keras' method; anew where constants of its graph are others now."""
        by_product = self._region is not None and self._region.names
        known = self.thresholds.known.statistics if by_product else None
        force = force or known is not self._statistics_in_graph
        self._statistics_in_graph = known
        if self._lowest_in_graph not in ((), (self.thresholds.pixels.lowest,)):
            self._lowest_in_graph, force = (), True
        return super().make_predict_function(force=force)
