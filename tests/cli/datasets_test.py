"""From an archive on a server to a report, by the commands a user would type."""

import dataclasses
import hashlib
import json
import re
import shutil
import tarfile

import pytest

from keras_rlr.datasets import catalogue, write_procedural_dataset
from keras_rlr.methods.rlr import recipe
from tests.datasets.layouts.write_files import write_image, write_mask, write_visa
from tests.datasets.local_server import serving
from tests.run_command import run

pytestmark = pytest.mark.backend_independent

SMALL = [
    *("--backbone", "efficientnet_lite2", "--levels", "1", "--hidden-dims", "16"),
    *("--image-size", "48", "--batch-size", "4", "--epochs", "1"),
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "datasets"


def pack(folder, file, mode="w"):
    with tarfile.open(file, mode) as tar:
        for child in sorted(folder.iterdir()):
            tar.add(child, child.name)
    return file.read_bytes()


def publish(monkeypatch, name, **changes):
    dataset = dataclasses.replace(catalogue.CATALOGUE[name], **changes)
    monkeypatch.setitem(catalogue.CATALOGUE, name, dataset)


def test_visa_from_the_server_to_the_report(tmp_path, home, monkeypatch):
    write_visa(tmp_path / "source", train=8, normal=3, anomalous=3)
    content = pack(tmp_path / "source", tmp_path / "visa.tar")
    counts = dict.fromkeys(("candle", "pcb1"), (8, 3, 3))
    with serving(content) as server:
        sha256 = hashlib.sha256(content).hexdigest()
        publish(monkeypatch, "visa", url=server.url, sha256=sha256, counts=counts)
        assert "by `keras-rlr datasets prepare visa`" in " ".join(
            run("train", "--dataset", "visa").stderr.split()
        )
        # One drop is taken up; a server that stays away is an error, and no loss.
        server.drop_after = [9_000] + [0] * 9
        result = run("datasets", "prepare", "visa")
        assert result.exit_code == 1
        assert "are kept in" in result.stderr and "Traceback" not in result.output
        assert not (home / "visa").exists()
        server.drop_after = []
        result = run("datasets", "prepare", "visa")
        assert result.exit_code == 0, result.stderr
        assert str(home / "visa") in result.stdout and "CC BY 4.0" in result.stdout
        assert [path.name for path in home.iterdir()] == ["visa"]
        requests = len(server.requests)
        assert run("datasets", "prepare", "visa").exit_code == 0
        assert len(server.requests) == requests

    result = run("datasets", "verify", "visa")
    assert result.exit_code == 0, result.stderr
    assert "candle: 8 to train on, 3 normal and 3 anomalous" in result.stdout
    assert "No problems." in result.stdout
    rows = json.loads(run("datasets", "list", "--json").stdout)
    listed = {row["name"]: row for row in rows}
    assert listed["visa"]["folder"] == str(home / "visa")
    assert listed["mvtec_ad"]["folder"] is None

    result = run("evaluate", "--dataset", "visa")
    assert result.exit_code == 2
    assert "`keras-rlr train --dataset visa`" in result.stderr
    result = run("train", "--dataset", "visa", *SMALL, "--test-every-epoch")
    assert result.exit_code == 0, result.stderr
    result = run("evaluate", "--dataset", "visa", "--json")
    assert result.exit_code == 0, result.stderr
    measured = json.loads(result.stdout)
    assert list(measured["categories"]) == ["candle", "pcb1"]
    folder = tmp_path / "runs" / "visa" / "evaluation"
    assert {p.name for p in folder.iterdir()} == {
        *("metrics.json", "metrics.csv", "report.html")
    }
    page = (folder / "report.html").read_text()
    assert "nothing was selected on the test set" in page
    # The counts are those that were just published, so the figures stand beside ours.
    assert "RLR: image AUROC" in page

    assert "protocol" not in measured
    result = run(
        "evaluate", "--dataset", "visa", "--protocol", "best-on-test-set", "--json"
    )
    assert json.loads(result.stdout)["protocol"]["selected_on_test_set"] is True

    output = tmp_path / "selected"
    selected = ("evaluate", "--dataset", "visa", "--protocol", "best-on-test-set")
    result = run(*selected, "--output", output)
    assert result.exit_code == 0, result.stderr
    for text in (
        result.stdout,
        (output / "report.html").read_text(),
        (output / "metrics.json").read_text(),
    ):
        assert "SELECTED ON THE TEST SET" in " ".join(text.split())
    header, row, *_ = (output / "metrics.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=False))
    assert cells["category"] == "candle"
    assert "true" in row.split(",")


def test_evaluate_trains_if_it_may(tmp_path, home, monkeypatch):
    shorter = dataclasses.replace(recipe._STANDARDIZED, steps=4, epochs=1)
    monkeypatch.setattr(recipe, "_STANDARDIZED", shorter)
    for category in ("candle", "pcb1"):
        write_image(home / "visa", f"{category}/normal/a.png")
        for i in range(3):
            write_image(home / "visa", f"{category}/normal/{i}.png", value=90 + i)
            write_image(home / "visa", f"{category}/normal_test/{i}.png")
            write_image(home / "visa", f"{category}/anomalous/{i}.png", value=200)
    result = run(
        "evaluate", "--dataset", "visa", "--train", "--preset", "no_such_preset"
    )
    assert result.exit_code == 2
    assert "Training first: keras-rlr train --dataset visa" in result.stderr
    assert "no_such_preset" in result.stderr
    assert not (tmp_path / "runs").exists()
    result = run(
        "evaluate", "--dataset", "visa", "--train", "--preset",
        "rlr_efficientnet_lite2_one_level", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert sorted(json.loads(result.stdout)["categories"]) == ["candle", "pcb1"]
    assert (tmp_path / "runs" / "visa" / "model.keras").is_file()


def test_mvtec_ad_is_taken_from_its_archive(tmp_path, home, monkeypatch):
    source = tmp_path / "source"
    write_image(source, "bottle/train/good/000.png")
    write_image(source, "bottle/test/good/000.png")
    write_image(source, "bottle/test/broken/000.png")
    write_mask(source, "bottle/ground_truth/broken/000_mask.png")
    file = tmp_path / "mvtec.tar.xz"
    sha256 = hashlib.sha256(pack(source, file, "w:xz")).hexdigest()
    publish(monkeypatch, "mvtec_ad", sha256=sha256, counts={"bottle": (1, 1, 2)})
    result = run("datasets", "prepare", "mvtec_ad")
    assert result.exit_code == 2
    assert "has to be downloaded by hand" in result.stderr
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    result = run("datasets", "prepare", "mvtec_ad", "--archive", file)
    assert result.exit_code == 2 and "it should be" in result.stderr
    assert not home.exists()
    file.write_bytes(whole)
    result = run("datasets", "prepare", "mvtec_ad", "--archive", file)
    assert result.exit_code == 0, result.stderr
    assert file.exists()
    result = run("datasets", "verify", "mvtec_ad", "--json")
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["counts"] == {"bottle": [1, 1, 1]}
    assert facts["problems"] == ["bottle: 1 anomalous test images; MVTec AD has 2."]


def test_verify_names_what_is_missing_or_unreadable(tmp_path):
    write_visa(tmp_path / "visa", train=3, normal=1, anomalous=2)
    (tmp_path / "visa/candle/Data/Images/Normal/0001.JPG").write_bytes(b"no image")
    (tmp_path / "visa/pcb1/Data/Masks/Anomaly/000.png").unlink()
    result = run("datasets", "verify", "--data", tmp_path / "visa")
    assert result.exit_code == 1
    assert "0001.JPG' can't be read as an image" in result.stderr
    assert "000.png' is missing" in result.stderr
    (tmp_path / "visa/pcb1/Data/Images/Normal/0000.JPG").unlink()
    result = run("datasets", "verify", "--data", tmp_path / "visa")
    assert result.stderr.count("Problem: ") == 3
    assert "0000.JPG' is missing" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("prepare", "mnist"),
            "data set 'mnist' in the catalogue. Choose from: mvtec_ad",
        ),
        (("verify",), "Give either --data with a folder or the NAME of a published"),
        (
            ("verify", "visa", "--data", "x"),
            "Give either --data with a folder or the NA",
        ),
        (
            ("verify", "--data", "x", "--data-dir", "y"),
            "--data-dir belongs to NAME; --",
        ),
        (("verify", "mnist"), "The folder of any other is given with --data."),
        (("verify", "visa"), "datasets prepare visa"),
        (("prepare", "visa", "--archive", "none.tar"), "no archive 'none.tar'"),
    ],
)
def test_wrong_use(arguments, message):
    result = run("datasets", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "command",
    ["train", "evaluate", ("decoder", "train"), ("benchmark", "tables", "--table=1")],
)
def test_the_message_names_what_the_command_takes(command):
    command = (command,) if isinstance(command, str) else command
    usage = run(*command, "--help").stdout
    for arguments in ((), ("--data", "x", "--data-dir", "y")):
        result = run(*command, *arguments)
        assert result.exit_code == 2
        message = " ".join(result.stderr.split())
        named = set(re.findall(r"--[a-z-]+", message.partition("Error: ")[2]))
        assert "--dataset" in named and "NAME" not in message.partition("Error: ")[2]
        assert all(option in usage for option in named)


def test_what_verify_is_told_to_give_it_takes():
    usage = run("datasets", "verify", "--help").stdout
    message = run("datasets", "verify").stderr.partition("Error: ")[2]
    named = set(re.findall(r"--[a-z-]+|NAME", message))
    assert named == {"--data", "NAME"} and all(word in usage for word in named)


def test_a_folder_of_other_products_is_no_published_data_set(tmp_path):
    other = tmp_path / "painted"
    write_procedural_dataset(
        other,
        categories=["gear", "wood"],
        image_size=64,
        train_per_category=1,
        test_normal=1,
    )
    shutil.move(other / "wood", other / "wooden")
    words = ("datasets", "prepare", "mvtec_ad", "--data-dir", other)
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "none of the 15 categories of MVTec AD; it has gear, wooden." in (
        " ".join(result.stderr.split())
    )
    shutil.move(other / "wooden", other / "wood")
    result = run(*words)
    assert result.exit_code == 0
    told = " ".join(result.stderr.split())
    assert (
        "has 1 of the 15 categories of MVTec AD. Missing: bottle, cable, caps" in told
    )
    assert "has categories that are not of MVTec AD: gear." in told
    # The commands that take its name would print the paper's figures beside theirs.
    shutil.move(other / "wood", other / "wooden")
    place = ("--dataset", "mvtec_ad", "--data-dir", other)
    for command in (
        ("train", *place, "--output", tmp_path / "run"),
        ("evaluate", *place),
        ("benchmark", "tables", "--table", "1", *place),
    ):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (2, "")
        told = " ".join(result.stderr.split())
        assert "none of the 15 categories of MVTec AD; it has gear, wooden." in told
    assert not (tmp_path / "run").exists()
