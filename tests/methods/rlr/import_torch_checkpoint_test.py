import lzma
import os
import pathlib

import numpy as np
import pytest
import torch

import keras_rlr
from tests.golden_weights import assert_close

pytestmark = pytest.mark.optimized

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "authors_checkpoint.pth.xz"
SIDES = {1: 64, 2: 32, 3: 16}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The golden checkpoint as the authors' program wrote it."""
    path = tmp_path_factory.mktemp("authors") / "checkpoint.pth"
    path.write_bytes(lzma.decompress(GOLDEN.read_bytes()))
    return path


@pytest.fixture
def states(checkpoint):
    """Its state dicts, one a level; a test may change them."""
    return torch.load(checkpoint, weights_only=False)["state_dict"]


@pytest.fixture
def save(tmp_path):
    """Writes state dicts in the authors' format: `save(states)` returns the path."""

    def write(states):
        torch.save({"state_dict": states, "epoch": 3}, tmp_path / "changed.pth")
        return tmp_path / "changed.pth"

    return write


def load(path, **arguments):
    arguments = {
        "backbone": "efficientnet_lite2",
        "backbone_weights": None,
        **arguments,
    }
    return keras_rlr.import_torch_checkpoint(path, **arguments)


def assert_reconstructs(model, arrays):
    """The model's levels rebuild what the authors' program did."""
    sides = [SIDES[level] for level in model.levels]
    outputs = model.reconstruct([arrays[f"input_{side}"] for side in sides])
    for side, output in zip(sides, outputs, strict=True):
        assert_close(output, arrays[f"output_{side}"])


@pytest.mark.backend_independent
def test_reconstructs_as_the_authors_program(checkpoint, golden):
    model = load(str(checkpoint))
    assert model.levels == (1, 2, 3)
    assert model.image_size == 256
    assert model.hidden_dims == (32, 64, 128)
    assert model.windows == (11, 7, 5)
    assert model.noise_scale == 4.0
    assert not model.standardize_features
    assert_reconstructs(model, golden("authors_checkpoint_io"))


@pytest.mark.parametrize(
    "order, levels",
    [
        # What a backend computes from them is compared in feature_reconstructor_test.
        pytest.param((2, 1), (2, 3), marks=pytest.mark.backend_independent),
        ((2,), (3,)),
    ],
)
def test_any_levels_in_any_order_will_do(states, save, golden, order, levels):
    model = load(save([states[position] for position in order]))
    assert model.levels == levels
    assert_reconstructs(model, golden("authors_checkpoint_io"))


@pytest.mark.backend_independent
def test_the_number_of_blocks_is_read_from_the_file(states, save):
    state = {
        name: value for name, value in states[2].items() if "layers.3." not in name
    }
    assert len(load(save([state])).reconstructors[0].blocks) == 3


@pytest.mark.backend_independent
def test_weights_of_half_precision_and_of_a_tuple_are_accepted(states, save):
    half = {name: value.half() for name, value in states[2].items()}
    kernel = load(save((half,))).reconstructors[0].input_projection.kernel
    expected = states[2]["embedding.project_embedding.project.weight"].numpy()
    assert_close(kernel, expected.reshape(128, 120).T, tolerance=1e-3)


@pytest.mark.backend_independent
def test_a_backbone_with_other_channels_is_refused_with_those_that_fit(checkpoint):
    message = (
        r"have \[24, 48, 120\] channels, but 'efficientnet_b6' has \[40, 72, 200\] .*"
        "fit: efficientnet_b2, efficientnet_lite2"
    )
    with pytest.raises(ValueError, match=message):
        load(checkpoint, backbone="efficientnet_b6")


@pytest.mark.backend_independent
def test_channels_of_no_backbone_are_refused(states, save):
    states[2]["ref_mca"] = states[2]["ref_mca"][..., :7]
    with pytest.raises(ValueError, match=r"\[7\] channels.* No backbone"):
        load(save(states[2:]))


@pytest.mark.backend_independent
def test_a_backbone_whose_channels_are_unknown_is_refused(checkpoint):
    with pytest.raises(ValueError, match="Expected one of efficientnet_b0"):
        load(checkpoint, backbone="resnet_50_imagenet")


@pytest.mark.backend_independent
def test_the_same_level_twice_is_refused(states, save):
    with pytest.raises(ValueError, match="position 1: a second level with 120"):
        load(save([states[2], states[2]]))


@pytest.mark.backend_independent
def test_levels_of_different_image_sizes_are_refused(states, save):
    states[2]["ref_mca"] = states[2]["ref_mca"][:, :64]
    with pytest.raises(ValueError, match="different image sizes"):
        load(save(states))


@pytest.mark.backend_independent
def test_tokens_that_are_no_square_are_refused(states, save):
    states[2]["ref_mca"] = states[2]["ref_mca"][:, :250]
    with pytest.raises(ValueError, match=r"found one of shape \(1, 250, 120\)"):
        load(save(states))


def drop(state):
    del state["encoder.norm.weight"]


def add(state):
    state["encoder.gate"] = torch.zeros(3)


def cut(state):
    state["encoder.encode_layers.1.ffn.fc1.weight"] = torch.zeros(4, 5)


def flatten(state):
    name = "encoder.encode_layers.0.mca.in_proj_weight"
    state[name] = state[name].flatten()


def remove_blocks(state):
    for name in [name for name in state if "encode_layers" in name]:
        del state[name]


def remove_reference(state):
    del state["ref_mca"]


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "change, message",
    [
        (drop, "has no 'encoder.norm.weight'"),
        (add, "holds 'encoder.gate'"),
        (cut, "no array fits the weight '.*block_1/ffn/dense_1/kernel'"),
        (flatten, "no array fits the weight|wrong shape"),
        (remove_blocks, "has no 'encoder.encode_layers.0.mca.in_proj_weight'"),
        (remove_reference, "expected a reference 'ref_mca'.* found none"),
    ],
)
def test_weights_of_another_model_are_refused(states, save, change, message):
    change(states[2])
    with pytest.raises(ValueError, match=message):
        load(save(states[2:]))


@pytest.mark.backend_independent
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_refused(checkpoint, tmp_path, kept):
    content = checkpoint.read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"cut.pth' can't be read .* cut short"):
        load(path)


@pytest.mark.backend_independent
def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    path.write_text("no checkpoint\n")
    with pytest.raises(ValueError, match="can't be read as a PyTorch checkpoint"):
        load(path)
    with path.open("wb") as file:
        np.savez(file, state_dict=np.zeros(3))
    with pytest.raises(ValueError, match="can't be read as a PyTorch checkpoint"):
        load(path)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "content, message",
    [
        (torch.zeros(3), "Expected a dict with a list of state dicts"),
        ({"weights": torch.zeros(3)}, "Expected a dict with a list of state dicts"),
        ({"state_dict": {"a": torch.zeros(3)}}, "Expected a dict with a list"),
        ({"state_dict": []}, "Expected a dict with a list"),
        ({"state_dict": [torch.zeros(3)]}, "position 0, is not a dict of tensors"),
        ({"state_dict": [{"ref_mca": 1.0}]}, "position 0, is not a dict of tensors"),
    ],
)
def test_pytorch_files_of_something_else_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "other.pth")


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.backend_independent
def test_a_file_with_code_in_it_is_refused_and_not_run(states, tmp_path):
    made = tmp_path / "made"
    path = tmp_path / "malicious.pth"
    torch.save({"state_dict": states, "extra": Malicious(str(made))}, path)
    with pytest.raises(ValueError, match="other than weights, which are never loaded"):
        load(path)
    assert not made.exists()
    torch.load(path, weights_only=False)
    assert made.exists()


@pytest.mark.backend_independent
def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint .*nothing.pth"):
        load(tmp_path / "nothing.pth")


@pytest.mark.backend_independent
def test_an_imported_model_predicts(states, save):
    images = np.random.default_rng(0).integers(0, 256, (2, 80, 90, 3), "uint8")
    outputs = load(save(states[2:])).predict(images, verbose=0)
    assert outputs["anomaly_map"].shape == (2, 256, 256)
    assert np.all(np.isfinite(outputs["anomaly_score"]))
