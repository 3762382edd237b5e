"""The builders, run by tensorflow-datasets on little data sets of the real layouts."""

import dataclasses
import hashlib
import tarfile

import numpy as np
import pytest
from PIL import Image

from tests.datasets.layouts.write_files import write_image, write_mask, write_visa
from tests.datasets.local_server import serving
from tests.fresh_process import run_fresh

pytestmark = pytest.mark.backend_independent
tfds = pytest.importorskip("tensorflow_datasets")

import keras_rlr.datasets  # noqa: E402, F401
from keras_rlr.datasets.tfds_builders import mvtec_ad, visa  # noqa: E402


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "datasets"


@pytest.fixture
def archive(tmp_path):
    """A VisA archive of two categories, as bytes."""
    write_visa(tmp_path / "source")
    with tarfile.open(tmp_path / "visa.tar", "w") as tar:
        for child in sorted((tmp_path / "source").iterdir()):
            tar.add(child, child.name)
    return (tmp_path / "visa.tar").read_bytes()


def test_visa_downloads_itself(archive, tmp_path, monkeypatch):
    with serving(archive) as server:
        server.drop_after = [5_000]
        published = dataclasses.replace(
            visa.VISA, url=server.url, sha256=hashlib.sha256(archive).hexdigest()
        )
        monkeypatch.setattr(visa, "VISA", published)
        data, info = tfds.load("visa", data_dir=tmp_path / "tfds", with_info=True)
    assert len(server.requests) == 2
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 6,
        "test": 8,
    }
    assert "Zou" in info.citation and "spot-diff" in info.homepage
    assert set(info.features) == {
        *("image", "mask", "label", "category", "defect_type", "path")
    }
    assert [config.name for config in visa.Visa.BUILDER_CONFIGS][:3] == [
        *("all", "candle", "capsules")
    ]
    elements = list(tfds.as_numpy(data["test"]))
    for element in elements:
        anomalous = b"/Anomaly/" in element["path"]
        assert element["label"] == anomalous
        assert element["defect_type"] == (b"anomaly" if anomalous else b"good")
        assert element["path"].startswith(element["category"])
        assert element["image"].shape == (6, 8, 3)
        assert element["mask"].shape == (6, 8, 1)
        assert element["mask"].sum() == 6 * anomalous
        pixels = np.asarray(Image.open(tmp_path / "source" / element["path"].decode()))
        # TensorFlow decodes JPEG a little differently.
        np.testing.assert_allclose(element["image"], pixels, atol=3)
    assert len({element["path"] for element in elements}) == 8
    assert not any(element["label"] for element in tfds.as_numpy(data["train"]))


def test_one_category_of_what_was_prepared_before(home, tmp_path):
    write_visa(home / "visa")
    data = tfds.load("visa/pcb1", data_dir=tmp_path / "tfds", split="train")
    categories = {element["category"] for element in tfds.as_numpy(data)}
    assert categories == {b"pcb1"}
    assert len(data) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_mvtec_ad_from_the_folder_or_archive_that_the_user_names(
    packed, tmp_path, monkeypatch
):
    folder = tmp_path / "manual"
    write_image(folder, "bottle/train/good/000.png", size=(9, 7))
    write_image(folder, "bottle/test/good/000.png")
    write_image(folder, "bottle/test/broken/000.png")
    write_mask(folder, "bottle/ground_truth/broken/000_mask.png", value=255)
    if packed:
        manual = tmp_path / "downloads"
        manual.mkdir()
        file = manual / mvtec_ad.MVTEC_AD.archive
        with tarfile.open(file, "w:xz") as tar:
            tar.add(folder / "bottle", "bottle")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        published = dataclasses.replace(mvtec_ad.MVTEC_AD, sha256=sha256)
        monkeypatch.setattr(mvtec_ad, "MVTEC_AD", published)
        folder = manual
    config = tfds.download.DownloadConfig(manual_dir=folder)
    data = tfds.load(
        "mvtec_ad/bottle",
        data_dir=tmp_path / "tfds",
        download_and_prepare_kwargs={"download_config": config},
    )
    (train,) = tfds.as_numpy(data["train"])
    assert train["image"].shape == (9, 7, 3) and not train["mask"].any()
    kinds = {e["defect_type"]: e["mask"].sum() for e in tfds.as_numpy(data["test"])}
    assert kinds == {b"broken": 6, b"good": 0}


def test_mvtec_ad_that_was_prepared_before(home, tmp_path):
    write_image(home / "mvtec_ad", "bottle/train/good/000.png")
    write_image(home / "mvtec_ad", "bottle/test/good/000.png")
    data = tfds.load("mvtec_ad/bottle", data_dir=tmp_path / "tfds", split="train")
    assert len(data) == 1


def test_mvtec_ad_says_how_to_get_it(tmp_path):
    with pytest.raises((AssertionError, FileNotFoundError)) as caught:
        tfds.load("mvtec_ad", data_dir=tmp_path / "tfds")
    assert "mvtec_anomaly_detection.tar.xz" in str(caught.value)


@pytest.mark.parametrize(
    "imports",
    [
        "import keras_rlr.datasets, tensorflow_datasets as tfds",
        "import tensorflow_datasets as tfds, keras_rlr.datasets",
        "import importlib.util, keras_rlr.datasets\n"
        "assert importlib.util.find_spec('tensorflow_datasets')\n"
        "import tensorflow_datasets as tfds",
    ],
)
def test_builders_are_known_whichever_is_imported_first(imports):
    program = (
        f"import sys\n{imports}\nassert tfds.builder_cls('visa').PUBLISHED.title\n"
        "assert {'visa', 'mvtec_ad'} <= set(tfds.list_builders())\n"
        "assert tfds.__spec__.loader is tfds.__loader__\n"
    )
    done = run_fresh(program)
    assert done.returncode == 0, done.stderr


def test_the_library_is_not_imported_for_it():
    program = (
        "import sys, keras_rlr.datasets\n"
        "assert 'tensorflow_datasets' not in sys.modules\n"
    )
    done = run_fresh(program)
    assert done.returncode == 0, done.stderr
