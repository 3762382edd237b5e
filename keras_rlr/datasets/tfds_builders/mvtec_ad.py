from pathlib import Path

from keras_rlr.datasets.catalogue import MVTEC_AD
from keras_rlr.datasets.layouts import mvtec_layout
from keras_rlr.datasets.prepare_dataset import (
    default_folder,
    is_prepared,
    prepare_dataset,
)
from keras_rlr.datasets.tfds_builders.published_builder import (
    PublishedBuilder,
    configs,
)
from keras_rlr.datasets.tree import read_tree


class MvtecAd(PublishedBuilder):
    """MVTec AD for tensorflow-datasets: `tfds.load("mvtec_ad/bottle", …)`.

    Users download it themselves, for its licence. The archive, or the folder it was
    extracted in, is named by `manual_dir`:

    ```python
    import keras_rlr.datasets
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir="downloads")
    data = tfds.load(
        "mvtec_ad", download_and_prepare_kwargs={"download_config": config}
    )
    ```
    """

    PUBLISHED = MVTEC_AD
    BUILDER_CONFIGS = configs(MVTEC_AD)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Download {MVTEC_AD.archive} from {MVTEC_AD.homepage} (licence: "
        f"{MVTEC_AD.licence}) and give the folder it is in, or the folder it was "
        "extracted in, as manual_dir."
    )

    def _folder(self, dl_manager):
        try:
            manual = Path(dl_manager.manual_dir)
        except AssertionError:  # none was named
            if is_prepared(default_folder(MVTEC_AD.name)):
                return default_folder(MVTEC_AD.name)
            raise
        for folder in (manual, manual / MVTEC_AD.name):
            if folder.is_dir() and mvtec_layout.find_categories(read_tree(folder).root):
                return folder
        archive = manual / MVTEC_AD.archive
        folder = Path(dl_manager.download_dir) / "extracted" / MVTEC_AD.name
        return prepare_dataset(MVTEC_AD, folder, archive=archive)
