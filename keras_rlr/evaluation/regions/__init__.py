"""Connected regions of anomaly maps, and files of them."""

from keras_rlr.evaluation.regions.find_regions import regions
from keras_rlr.evaluation.regions.region import Region

__all__ = ["Region", "regions"]
