from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from keras_rlr.datasets.catalogue import PublishedDataset
from keras_rlr.datasets.folder_dataset import FolderDataset


class PublishedBuilder(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """What the builders of published data sets share.

    Subclasses set `PUBLISHED` and say in `_folder` where the data set lies.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "As published."}
    PUBLISHED: ClassVar[PublishedDataset]

    def _info(self):
        published = self.PUBLISHED
        return self.dataset_info_from_configs(
            description=(
                f"{published.title}: normal images to train on, normal and anomalous "
                "ones, with masks of what is anomalous, to test on."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "mask": tfds.features.Image(
                        shape=(None, None, 1), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=["normal", "anomalous"]),
                    "category": tfds.features.Text(),
                    "defect_type": tfds.features.Text(),
                    "path": tfds.features.Text(),
                }
            ),
            homepage=published.homepage,
            citation=published.citation,
            license=published.licence,
        )

    def _folder(self, dl_manager) -> Path:
        raise TypeError(f"{type(self).__name__} must define `_folder`.")

    def _split_generators(self, dl_manager):
        folder = self._folder(dl_manager)
        return {
            split: self._generate_examples(folder, split) for split in ("train", "test")
        }

    def _generate_examples(self, folder, split):
        name = self.builder_config.name
        categories = None if name == "all" else [name]
        dataset = FolderDataset(folder, split, categories)
        for i, sample in enumerate(dataset.samples):
            element = dataset[i]
            mask = element.get("mask")
            if mask is None:
                mask = np.zeros(element["image"].shape[:2], "uint8")
            yield (
                sample.path,
                {
                    # The file as it is: its bytes are kept and not encoded anew.
                    "image": str(sample.image),
                    "mask": mask[..., None],
                    "label": sample.label,
                    "category": sample.category,
                    "defect_type": sample.defect_type,
                    "path": sample.path,
                },
            )


def configs(published):
    """One configuration for all categories, the default, and one for each."""
    names = ["all", *published.counts]
    return [
        tfds.core.BuilderConfig(
            name=name,
            description="All categories." if name == "all" else f"Category {name}.",
        )
        for name in names
    ]
