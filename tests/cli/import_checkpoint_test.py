import lzma
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

from keras_rlr.cli.main import cli

pytestmark = pytest.mark.backend_independent

CHECKPOINT = Path(__file__).parents[1] / "golden" / "authors_checkpoint.pth.xz"


def run(*arguments):
    return CliRunner().invoke(cli, ["import-checkpoint", *map(str, arguments)])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "authors.pth"
    path.write_bytes(lzma.decompress(CHECKPOINT.read_bytes()))
    return path


def test_writes_a_model(checkpoint, tmp_path):
    output = tmp_path / "new" / "model.keras"
    result = run(checkpoint, "--output", output, "--backbone", "efficientnet_lite2")
    assert result.exit_code == 0, result.stderr
    model = keras.saving.load_model(output)
    assert model.backbone_name == "efficientnet_lite2"
    assert ", ".join(map(str, model.levels)) in result.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "authors.pth"), (b"no checkpoint", "authors.pth")],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, content, message):
    path = tmp_path / "authors.pth"
    if content is not None:
        path.write_bytes(content)
    result = run(path, "--output", tmp_path / "model.keras")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "model.keras").exists()


def test_another_backbone_is_refused_with_those_that_fit(checkpoint, tmp_path):
    output = tmp_path / "model.keras"
    result = run(checkpoint, "--output", output, "--backbone", "efficientnet_b0")
    assert result.exit_code == 2
    assert "Backbones that fit: efficientnet_b2, efficientnet_lite2" in result.stderr
    assert not output.exists()


def test_outputs_that_can_not_be(checkpoint, tmp_path):
    result = run(checkpoint, "--output", tmp_path / "model.h5")
    assert result.exit_code == 2
    assert "must end in .keras" in result.stderr
    (tmp_path / "model.keras").write_text("mine")
    result = run(checkpoint, "--output", tmp_path / "model.keras")
    assert result.exit_code == 2
    assert "exists" in result.stderr
    assert (tmp_path / "model.keras").read_text() == "mine"
