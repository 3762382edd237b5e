"""Broken and harmful model files: each is refused in a sentence, or loads as it was."""

import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_rlr.cli.failures import is_users_own
from keras_rlr.detectors.loading import load_model
from tests.hostile.model_kinds import HARMLESS, KINDS, with_argument, with_config
from tests.hostile.outcome import bounded, check_printable, refused
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

pytestmark = [
    pytest.mark.backend_independent,
    # Keras' own words on weights that are missing, before it refuses them.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a model's file."""
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20), false_positive_rate=0.1)
    path = tmp_path_factory.mktemp("whole") / "model.keras"
    model.save(path)
    return path.read_bytes()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("It reached out.")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_refused_in_a_sentence(name, content, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(KINDS[name](content))
    with bounded(), pytest.raises(ValueError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(f"'{path}' ") and is_users_own(caught.value)
    assert len(message) < 1500
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_lies_beside_the_model_is_not_followed(name, content, tmp_path):
    path = tmp_path / "deep" / "model.keras"
    path.parent.mkdir()
    path.write_bytes(HARMLESS[name](content))
    with bounded():
        assert load_model(path).threshold is not None
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


SAVED = Path(__file__).parents[1] / "saved"


@pytest.mark.parametrize(
    ("method", "name"),
    [(m, "image_size") for m in ("draem", "mkd", "padim", "patchcore", "simplenet")]
    + [("uniad", "image_size"), ("uniad", "hidden_dim"), ("simplenet", "hidden_dim")]
    + [("mkd", "sigma"), ("padim", "smoothing"), ("patchcore", "smoothing")],
)
def test_of_other_methods_too(method, name, tmp_path):
    path = tmp_path / "model.keras"
    for value in (10**9, -1, "x"):
        path.write_bytes(
            with_argument(**{name: value})((SAVED / f"{method}.keras").read_bytes())
        )
        with bounded(), pytest.raises(ValueError) as caught:
            load_model(path)
        assert str(caught.value).startswith(f"'{path}' ")


COMMANDS = {
    "info": (),
    "predict": ("{image}", "--output", "{out}"),
    "evaluate": ("--data", "{data}", "--output", "{out}"),
    "calibrate": ("--data", "{data}"),
    "export": ("--output", "{out}"),
    "app": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it_and_writes_nothing(command, content, tmp_path):
    from PIL import Image

    good = tmp_path / "data/bolt/test/good"
    good.mkdir(parents=True)
    (tmp_path / "data/bolt/train").mkdir()
    Image.fromarray(random_images(1)[0]).save(good / "0.png")
    (tmp_path / "data/bolt/train/good").symlink_to(good)
    model = tmp_path / "a\x1b[31m\nmodel.keras"
    model.write_bytes(KINDS["huge filters"](content))
    places = {
        "{image}": good / "0.png",
        "{data}": tmp_path / "data",
        "{out}": tmp_path / "out",
    }
    words = [str(places.get(word, word)) for word in COMMANDS[command]]
    before = sorted(tmp_path.rglob("*"))
    sentence = refused(command, *words, "--model", model)
    assert "many times larger than the weights" in sentence
    assert sorted(tmp_path.rglob("*")) == before


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_damage_to_a_file(content, tmp_path_factory, data):
    damaged = bytearray(content)
    # The configuration and the list of members more often than the weights.
    place = damaged.index(b'{"module"')
    for _ in range(data.draw(st.integers(1, 3))):
        low, high = data.draw(
            st.sampled_from(
                [(0, place), (place, place + 7000), (0, len(damaged)), (-300, -1)]
            )
        )
        start = data.draw(st.integers(low, high)) % len(damaged)
        damaged[start : start + data.draw(st.integers(0, 9))] = data.draw(
            st.binary(max_size=9)
        )
    _load(bytes(damaged), tmp_path_factory)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_value_in_the_configuration(content, tmp_path_factory, data):
    """Values that JSON can have, at any place of it, in a whole archive."""
    values = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats()
    values |= st.text(max_size=5) | st.lists(st.integers(-9, 9), max_size=3)

    def change(config):
        place = config
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                return
            key = data.draw(st.sampled_from(keys))
            inner = place[key]
            if (
                isinstance(inner, dict | list)
                and inner
                and data.draw(st.integers(0, 9))
            ):
                place = inner
                continue
            place[key] = data.draw(values)
            return

    _load(with_config(change)(content), tmp_path_factory)


def _load(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "model.keras"
    path.write_bytes(content)
    with bounded():
        try:
            load_model(path)
        except ValueError as error:
            assert str(error).startswith(f"'{path}' "), repr(error)
            check_printable(str(error)) if "refused" in str(error) else None
    assert list(path.parent.iterdir()) == [path]
