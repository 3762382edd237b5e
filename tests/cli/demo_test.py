"""`keras-rlr demo`: a short one, on images that are there already."""

import pytest

from keras_rlr.datasets import find_images, write_procedural_dataset
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


def test_demo_ends_with_the_table_and_the_place_of_its_pictures(tmp_path):
    output = tmp_path / "demo"
    write_procedural_dataset(
        output / "data",
        image_size=64,
        train_per_category=4,
        test_normal=2,
        test_anomalous=4,
        categories=["gear"],
    )
    result = run("demo", "--output", output, "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("AUROC") == 2 and "AUPRO" in result.stdout
    assert str(output / "report.html") in result.stdout.splitlines()[-1]
    page = (output / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count("data:image/svg+xml;base64,") == 3
    overlays = sorted((output / "overlays").rglob("*.png"))
    assert len(overlays) == 6
    assert {path.parent.name for path in overlays} > {"good"}
    assert not set(overlays) & set(find_images(output))
    assert (output / "run" / "model.keras").exists()
