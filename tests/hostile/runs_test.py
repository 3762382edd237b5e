"""Damaged files beside a model and damaged tables: told, or done without."""

import json
import os

import pytest
from PIL import Image

from tests.hostile.outcome import bounded, refused
from tests.run_command import run
from tests.tiny_model import random_images

pytestmark = pytest.mark.backend_independent

NOT_JSON = {
    "empty": b"",
    "cut short": b'{"settings": {',
    "not UTF-8": b'{"a": "\xff"}',
    "nested deeply": b"[" * 200_000,
    "zeros": bytes(2000),
}
GOOD = {
    "settings": {"seed": 0, "calibration_fraction": 0.1},
    "data": {"path": "data", "categories": ["bolt"]},
    "training": {},
}
CONFIGS = {
    **NOT_JSON,
    **{
        name: json.dumps(content).encode()
        for name, content in {
            "null": None,
            "list": [],
            "text": "a",
            "nothing": {},
            "other keys": {"a": 1},
            "settings null": {**GOOD, "settings": None},
            "settings a list": {**GOOD, "settings": []},
            "data a text": {**GOOD, "data": "data"},
            "data empty": {**GOOD, "data": {}},
            "path a number": {**GOOD, "data": {"path": 3, "categories": []}},
            "categories a text": {**GOOD, "data": {"path": "a", "categories": "b"}},
            "categories numbers": {**GOOD, "data": {"path": "a", "categories": [1]}},
            "training null": {**GOOD, "training": None},
            "seed a text": {**GOOD, "settings": {"seed": "x"}},
            "fraction of 7": {**GOOD, "settings": {"calibration_fraction": 7}},
            "epochs NaN": {**GOOD, "settings": {"epochs": float("nan")}},
        }.items()
    },
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_config_json(kind, root):
    (root / "run/config.json").write_bytes(CONFIGS[kind])
    before = sorted(root.rglob("*"))
    model = ("--model", "run")
    for words in (
        ("evaluate", "--data", "data", *model, "--output", "out"),
        ("predict", "data", *model, "--output", "out", "--category", "bolt"),
        ("export", *model, "--output", "out"),
        ("train", "--data", "data", "--output", "run", "--resume"),
        ("decoder", "train", "--data", "data", *model),
    ):
        if "train" in words and kind.startswith(("data", "path", "categ", "training")):
            continue  # A run that is resumed has other questions first.
        assert "config.json" in refused(*words), words
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        b"epoch,loss,seconds\n1,x,2\n",
        b"epoch,loss,seconds\n1\n",
        b"\0",
    ],
)
def test_history_csv(content, root):
    (root / "run/config.json").write_text(json.dumps(GOOD))
    (root / "run/history.csv").write_bytes(content)
    words = ("train", "--data", "data", "--output", "run", "--resume", "--epochs", "9")
    with bounded():
        result = run(*words)
    assert result.exit_code == 2 and "Traceback" not in result.output, result.output


@pytest.mark.parametrize(
    "content",
    [
        *(b"a,b\n1,2\n", b"use,sha256,path\nx,y,z\n"),
        *(b"use,sha256,path\ntraining,,\n", b"use,sha256,path\nx," + b"x" * 200_000),
    ],
)
def test_images_csv(content, root):
    (root / "run/images.csv").write_bytes(content)
    sentence = refused("calibrate", "--model", "run", "--data", "data")
    assert "images.csv' is not the record" in sentence


@pytest.mark.parametrize("kind", [*NOT_JSON, "null", "other keys"])
def test_metrics_json_and_environment_json_are_done_without(kind, root):
    """Nothing that export does depends on them; the damage is told."""
    from keras_rlr.cli.export import _evaluation
    from keras_rlr.detectors.loading import load_model

    (root / "run/evaluation").mkdir()
    (root / "run/evaluation/metrics.json").write_bytes(CONFIGS[kind])
    (root / "run/environment.json").write_bytes(CONFIGS[kind])
    with pytest.warns(UserWarning, match=r"metrics.json' is damaged"):
        assert _evaluation(root / "run", load_model("run/model.keras")) is None


HEADER = b"object,split,label,image,mask\n"
TABLES = {
    "empty": b"",
    "no columns": b"1,2,3\n",
    "one column": b"object\n",
    "zeros": bytes(3000),
    "not UTF-8": b"\xff\xfe\xff",
    "cut short": HEADER + b"bolt,train,nor",
    "unknown split": HEADER + b"bolt,dev,normal,a.png,\n",
    "unknown label": HEADER + b"bolt,train,good,a.png,\n",
    "no object": HEADER + b",train,normal,a.png,\n",
    "no such image": HEADER + b"bolt,train,normal,nothing.png,\n",
    "image above": HEADER + b"bolt,train,normal,../../etc/passwd,\n",
    "image at the root": HEADER + b"bolt,train,normal,/etc/passwd,\n",
    "image with a zero byte": HEADER + b"bolt,train,normal,a\0b.png,\n",
    "image with a long name": HEADER + b"bolt,train,normal," + b"x" * 300 + b".png,\n",
    "mask above": HEADER + b"bolt,test,anomaly,a.png,../../../m.png\n",
    "quote that does not end": HEADER + b'"bolt,train,normal,a.png,\n',
    "cell that is too long": HEADER + b"x" * 200_000 + b",train,normal,a.png,\n",
    "a million commas": HEADER + b"," * 1_000_000,
}


@pytest.mark.parametrize("kind", TABLES)
def test_split_tables(kind, tmp_path):
    for name in ("Normal", "Anomaly"):
        folder = tmp_path / "visa/bolt/Data/Images" / name
        folder.mkdir(parents=True)
        Image.fromarray(random_images(1)[0]).save(folder / "0.png")
    (tmp_path / "visa/split_csv").mkdir()
    (tmp_path / "visa/split_csv/1cls.csv").write_bytes(TABLES[kind])
    before = sorted(tmp_path.rglob("*"))
    data = ("--data", tmp_path / "visa")
    refused("train", *data, "--output", tmp_path / "out")
    refused("evaluate", *data, "--model", tmp_path, "--output", tmp_path / "out")
    with bounded():
        result = run("datasets", "verify", *data)
    assert result.exit_code in (1, 2) and "not expected" not in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_settings_of_keras_that_are_damaged(tmp_path, monkeypatch):
    from keras_rlr.backend_choice import _of_settings_file

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for content in (*NOT_JSON.values(), b"null", b"[]", b'{"backend": 3}'):
        (tmp_path / "keras.json").write_bytes(content)
        assert _of_settings_file() is None
    os.remove(tmp_path / "keras.json")
    os.mkdir(tmp_path / "keras.json")
    assert _of_settings_file() is None
