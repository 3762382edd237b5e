"""A model file is read from itself alone: no address, no download, no other file."""

import json
import socket
import zipfile
from pathlib import Path

import keras
import pytest

import keras_rlr
from keras_rlr.backbones import create_backbone
from keras_rlr.detectors.loading import load_model
from tests.tiny_model import ONE_LEVEL, tiny_model

pytestmark = pytest.mark.backend_independent

SAVED = Path(__file__).parents[1] / "saved" / "rlr_0_1.keras"


class ReachedOutError(BaseException):
    """Past every `except Exception`: nothing may hide that it was raised."""


@pytest.fixture(autouse=True)
def guarded_network(monkeypatch, tmp_path):
    """Fails at any attempt to look up or connect, and hides Keras' downloads."""

    def refuse(*args, **kwargs):
        raise ReachedOutError(f"{args} {kwargs}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "no_downloads"))


def test_the_guard_would_notice_a_download():
    with pytest.raises(ReachedOutError):
        keras.utils.get_file("x", "http://127.0.0.1:9/x")


@pytest.fixture
def craft(tmp_path):
    """Writes a copy of a saved model with a changed config.json."""

    def write(change, source=SAVED):
        path = tmp_path / "crafted.keras"
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name == "config.json":
                    config = json.loads(data)
                    data = json.dumps(change(config) or config)
                new.writestr(name, data)
        return path

    return write


def with_backbone(backbone, **more):
    def change(config):
        config["config"].update(backbone=backbone, **more)

    return change


def in_backbone(layer):
    """Puts an object in the place of the backbone's last layer."""

    def change(config):
        model = config["config"]["backbone"]["model"]
        model["config"]["layers"][-1].update(layer)

    return change


def compiled_with(**parts):
    def change(config):
        config["compile_config"].update(parts)

    return change


def function(module, name):
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


def activation(module, name):
    return in_backbone(
        {
            "module": "keras.layers",
            "class_name": "Activation",
            "registered_name": None,
            "config": {"name": "activation", "activation": function(module, name)},
        }
    )


def instead_of(module, class_name, **config):
    """A file that is of another class from the outset."""
    return lambda _: {
        "module": module,
        "class_name": class_name,
        "registered_name": None,
        "config": config,
    }


KERAS_RLR_IN_LOSS = {
    "module": "keras_rlr.methods.rlr.rlr",
    "class_name": "RLR",
    "registered_name": "keras_rlr>RLR",
    "config": {"backbone": "kaggle://keras/resnetv1/keras/resnet_50_imagenet"},
}
VOCABULARY = {
    "module": "keras.layers",
    "class_name": "StringLookup",
    "registered_name": None,
    "config": {"name": "lookup", "vocabulary": "https://example.com/words.txt"},
}
OUTSIDE = {
    "hugging face": with_backbone("hf://someone/some-backbone"),
    "kaggle": with_backbone("kaggle://keras/resnetv1/keras/resnet_50_imagenet"),
    "a web address": with_backbone("https://example.com/backbone"),
    "a preset's name": with_backbone("resnet_50_imagenet"),
    "ImageNet weights": with_backbone("efficientnet_b0"),
    "weights by address": with_backbone(
        "efficientnet_b0", backbone_weights="gs://bucket/w.weights.h5"
    ),
    "weights by path": with_backbone(
        "efficientnet_b0", backbone_weights="/etc/hostname"
    ),
    "a preset in the catalogue's place": with_backbone(
        {"origin": "catalogue", "name": "hf://someone/some-backbone"}
    ),
    "a preset's name in the catalogue's place": with_backbone(
        {"origin": "catalogue", "name": "resnet_50_imagenet"}
    ),
    "a network of keras.applications": activation("keras.applications", "VGG16"),
    "a data set of Keras'": activation("keras.datasets.mnist", "load_data"),
    "get_file": activation("keras.utils", "get_file"),
    "keras-hub's downloads": activation("keras_hub.src.utils.preset_utils", "get_file"),
    "a vocabulary by address": in_backbone(VOCABULARY),
    "an address when compiling": compiled_with(loss=VOCABULARY),
    "a preset when compiling": compiled_with(loss=KERAS_RLR_IN_LOSS),
}


@pytest.mark.parametrize("change", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("load", [keras.saving.load_model, load_model])
def test_a_file_that_names_something_outside_is_refused(change, load, craft):
    with pytest.raises(ValueError, match=r"The model file names .* from itself"):
        load(craft(change))


def test_the_message_has_the_path_and_no_talk_of_damage(craft):
    path = craft(OUTSIDE["hugging face"])
    with pytest.raises(ValueError) as caught:
        keras_rlr.RLR.from_preset(path)
    message = str(caught.value)
    assert message.startswith(f"'{path}' is refused. The model file names the backbone")
    assert "hf://someone/some-backbone" in message
    assert "damaged" not in message


@pytest.mark.parametrize(
    "change",
    [
        instead_of("keras.applications", "EfficientNetB0"),
        instead_of("keras.callbacks", "RemoteMonitor"),
        instead_of("keras_hub.models", "ResNetBackbone"),
        instead_of("keras.layers", "StringLookup", vocabulary="gs://bucket/words.txt"),
    ],
)
def test_a_file_of_another_class_is_never_built(change, craft):
    with pytest.raises(ValueError, match="not a detector of this package"):
        load_model(craft(change))


@pytest.mark.parametrize("backbone", ["hf://a/b", "efficientnet_b0", "dinov2_small"])
def test_a_configuration_alone_is_refused_too(backbone):
    with pytest.raises(ValueError, match="The model file names"):
        keras_rlr.RLR.from_config({"backbone": backbone, "levels": (3,)})


def test_a_users_own_layer_can_not_download_while_it_is_loaded(tmp_path):
    @keras.saving.register_keras_serializable(package="test_safe_loading")
    class Sly(keras.layers.Layer):
        def __init__(self, preset=None, **kwargs):
            super().__init__(**kwargs)
            if preset:
                create_backbone(preset, levels=(3,), image_size=64)

    config = keras.saving.serialize_keras_object(Sly())
    config["config"]["preset"] = "efficientnet_b0"
    # Keras words errors of a layer's constructor anew.
    with pytest.raises(
        (TypeError, ValueError), match="The model file names the weights"
    ):
        keras.saving.deserialize_keras_object(config)


def test_a_saved_model_loads_without_a_connection(tmp_path, craft):
    load_model(SAVED)
    load_model(craft(lambda config: None))
    model = tiny_model(
        **{**ONE_LEVEL, "backbone": "efficientnet_lite2", "image_size": 64}
    )
    # Names of people's own are no addresses.
    model.trained_categories = ("http://a product",)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.trained_categories == ("http://a product",)


def test_the_offline_backbone_may_be_named_because_its_weights_are_here(craft):
    settings = {"backbone": "efficientnet_lite2", "levels": (3,), "windows": (3,)}
    settings.update(image_size=64, hidden_dims=(16,), seed=0)
    loaded = keras_rlr.RLR.from_config(settings)
    assert loaded.backbone_name == "efficientnet_lite2"


def test_the_user_may_switch_safe_mode_off(craft):
    """Then the file's own wish is followed: here, as far as the guard."""
    change = with_backbone("efficientnet_b0", image_size=64)
    with pytest.raises(ReachedOutError):
        keras.saving.load_model(craft(change), safe_mode=False)
