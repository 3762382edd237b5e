from pathlib import Path

from keras_rlr.datasets.catalogue import VISA
from keras_rlr.datasets.prepare_dataset import (
    default_folder,
    is_prepared,
    prepare_dataset,
)
from keras_rlr.datasets.tfds_builders.published_builder import (
    PublishedBuilder,
    configs,
)


class Visa(PublishedBuilder):
    """VisA for tensorflow-datasets: `tfds.load("visa")` or `tfds.load("visa/pcb1")`.

    It is downloaded, checked and extracted on first use; what `keras-rlr datasets
    prepare visa` extracted before is used as it is.
    """

    PUBLISHED = VISA
    BUILDER_CONFIGS = configs(VISA)

    def _folder(self, dl_manager):
        from tqdm.auto import tqdm

        if is_prepared(default_folder(VISA.name)):
            return default_folder(VISA.name)
        folder = Path(dl_manager.download_dir) / "extracted" / VISA.name
        with tqdm(desc=VISA.archive, unit="B", unit_scale=True) as bar:

            def show(done, total):
                bar.total = total
                bar.update(done - bar.n)

            return prepare_dataset(VISA, folder, on_download=show)
