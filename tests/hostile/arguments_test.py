"""Arguments that make no sense are refused in a sentence, and nothing is written."""

import pytest
from PIL import Image

import keras_rlr
from keras_rlr.cli.failures import is_users_own
from keras_rlr.methods.by_name import check_arguments
from tests.hostile.argument_kinds import CASES, OF_A_MODEL
from tests.hostile.outcome import bounded, refused
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the words in braces stand for, and the folder of it all."""
    root = tmp_path_factory.mktemp("arguments")
    for part in ("train/good", "test/good", "test/dent"):
        (root / "data/bolt" / part).mkdir(parents=True)
        for i, pixels in enumerate(random_images(4)):
            Image.fromarray(pixels).save(root / "data/bolt" / part / f"{i}.png")
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20), false_positive_rate=0.1)
    model.save(root / "model.keras")
    return {
        "data": str(root / "data"),
        "model": str(root / "model.keras"),
        "image": str(root / "data/bolt/test/dent/0.png"),
        "out": str(root / "out"),
    }, root


def test_there_are_as_many_as_are_promised():
    kinds = {(words.split()[0], option) for words, option, _ in CASES}
    assert len(CASES) + sum(map(len, OF_A_MODEL.values())) >= 400
    assert len(kinds) + len(OF_A_MODEL) >= 40


@pytest.mark.parametrize(
    ("words", "option", "value"),
    CASES,
    ids=[f"{w.split()[0]} {o} {v[:20]!r}" for w, o, v in CASES],
)
def test_of_a_command(words, option, value, places, monkeypatch):
    names, root = places
    monkeypatch.chdir(root)
    monkeypatch.setenv("KERAS_HOME", str(root / "keras"))
    texts = [*words.split(), *([] if option == "{bare}" else [option]), value]
    for name, place in names.items():
        texts = [text.replace(f"{{{name}}}", place) for text in texts]
    before = sorted(root.rglob("*"))
    sentence = refused(*texts)
    assert len(sentence) < 5000
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in OF_A_MODEL.items() for value in values],
    ids=lambda each: repr(each)[:30],
)
def test_of_a_model(name, value):
    with bounded(), pytest.raises((OSError, ValueError)) as caught:
        if name == "backbone":  # In Python it may be a model too.
            check_arguments(keras_rlr.RLR, {name: value})
        tiny_model(**{**ONE_LEVEL, name: value})
    assert is_users_own(caught.value), repr(caught.value)
