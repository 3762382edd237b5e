"""Ray itself: one local instance, whose workers are started anew by every scoring."""

import csv
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from keras_rlr.batch import lake as lakes
from keras_rlr.batch import score_images
from keras_rlr.batch.ray_session import ray_session, worker_resources
from keras_rlr.detectors.loading import load_model
from keras_rlr.evaluation.predict_images import predict_images
from tests.batch.lakes import MODEL, write_lake
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module", autouse=True)
def ray():
    with ray_session(None, 0) as ray:
        yield ray


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return write_lake(tmp_path_factory.mktemp("lake") / "images")


@pytest.fixture(scope="module")
def expected(lake, tmp_path_factory):
    output = tmp_path_factory.mktemp("expected")
    predict_images(load_model(MODEL), lake, output)
    with (output / "scores.csv").open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def scoring_workers():
    """Ids of the processes that score, by the names that Ray gives them."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = file.read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::") and b"PartScorer" in name:
            found.add(int(file.parts[2]))
    return found


@pytest.fixture(scope="module")
def killed_and_scored(lake, tmp_path_factory):
    """A scoring one of whose workers was killed after the first part."""
    folder = tmp_path_factory.mktemp("killed")
    images = sorted(str(path) for path in lake.rglob("*") if path.is_file())
    pq.write_table(pa.table({"path": images}), folder / "lake.parquet")
    killed, seen = [], []

    def kill_one(*counts):
        """Once the first part is done and others are not."""
        if not seen:
            killed.extend(sorted(scoring_workers())[:1])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        seen.append(counts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lakes, "IMAGES_A_PART", 8)
        found = score_images(
            MODEL,
            folder / "lake.parquet",
            folder / "out",
            workers=2,
            on_progress=kill_one,
        )
    return folder, found, killed, seen


def test_a_killed_worker_loses_no_image_and_repeats_none(killed_and_scored, expected):
    folder, found, killed, seen = killed_and_scored
    assert len(killed) == 1
    rows = pq.read_table(folder / "out").to_pylist()
    names = [row["path"].rpartition("images/")[2] for row in rows]
    assert sorted(names) == sorted(expected)
    for name, row in zip(names, rows, strict=True):
        wanted = expected[name]
        assert row["error"] == wanted["error"]
        flag = "" if row["is_anomalous"] is None else str(row["is_anomalous"]).lower()
        assert flag == wanted["is_anomalous"]
        if not row["error"]:
            score = float(wanted["anomaly_score"])
            assert row["anomaly_score"] == pytest.approx(score, abs=1e-5)
    assert (found.images, found.failed, found.scored_before) == (39, 3, 0)
    assert sum(many for many, _ in found.categories.values()) == 36
    assert seen[-1] == (39, 39)
    assert len(seen) == 5
    assert not (folder / "out" / "_work").exists()


def test_the_command_goes_on_with_what_is_missing(killed_and_scored, lake):
    folder, *_ = killed_and_scored
    table = folder / "lake.parquet"
    images = pq.read_table(table)["path"].to_pylist()
    Image.new("RGB", (32, 32), (90, 80, 70)).save(folder / "late.png")
    pq.write_table(pa.table({"path": [*images, str(folder / "late.png")]}), table)
    before = {p: p.stat().st_mtime_ns for p in (folder / "out").glob("part-*")}
    arguments = ("predict", table, "--model", MODEL, "--output", folder / "out")
    result = run(*arguments, "--engine", "ray", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "output": str(folder / "out"),
        "images": 40,
        "failed": 3,
        "scored_before": 39,
    }
    assert "3 of 40 images could not be read or scored" in result.stderr
    after = {p: p.stat().st_mtime_ns for p in (folder / "out").glob("part-*")}
    assert len(after) == len(before) + 1 and before.items() <= after.items()
    again = run(*arguments, "--engine", "ray")
    assert again.exit_code == 0
    assert "40 images" in again.stdout and "40 of them were there" in again.stdout
    assert "Images of bolt scored: 12; anomalous (score at least 8.334)" in again.stdout
    other = run(*arguments, "--engine", "ray", "--category", "nut")
    assert other.exit_code == 2
    assert "made with another category. Choose another folder" in other.stderr


def test_what_a_worker_refuses_is_a_sentence(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(4):
        dark = np.full((32, 32), 100 + i, "uint16")
        dark[0] = 7
        Image.fromarray(dark).save(tmp_path / "images" / f"{i}.png")
    result = run(
        *("predict", tmp_path / "images", "--model", MODEL, "--engine", "ray"),
        *("--output", tmp_path / "out"),
    )
    assert result.exit_code == 2
    assert "8-bit images in 16 bits" in result.stderr
    assert "Traceback" not in result.stderr


def test_workers_take_what_there_is():
    class Cluster:
        def __init__(self, machines=1, **resources):
            lost = {"Alive": False, "Resources": resources}
            there = {"Alive": True, "Resources": resources}
            self.nodes = lambda: [lost, *[there] * machines]

    gib = 2.0**30
    cpus = Cluster(CPU=16.0, memory=64 * gib)
    assert worker_resources(cpus, None, 100) == {"workers": 8, "cpus": 2, "gpus": 0.0}
    assert worker_resources(cpus, None, 3)["workers"] == 3
    assert worker_resources(cpus, 4, 100) == {"workers": 4, "cpus": 4, "gpus": 0.0}
    with pytest.warns(UserWarning, match="16 workers and not 20"):
        assert worker_resources(cpus, 20, 100)["workers"] == 16
    small = Cluster(CPU=16.0, memory=5 * gib)
    assert worker_resources(small, None, 100)["workers"] == 2
    gpus = Cluster(CPU=16.0, memory=64 * gib, GPU=2.0)
    assert worker_resources(gpus, None, 100) == {"workers": 2, "cpus": 1, "gpus": 1.0}
    assert worker_resources(gpus, 4, 100)["gpus"] == 0.5
    assert worker_resources(gpus, 3, 100)["gpus"] == 0.5
    # Ray waits for ever for a worker that no machine has the CPUs for.
    many = Cluster(4, CPU=4.0, memory=16 * gib)
    assert worker_resources(many, None, 100) == {"workers": 8, "cpus": 2, "gpus": 0.0}
    assert worker_resources(many, None, 1)["cpus"] == 4
    assert worker_resources(many, 3, 100)["cpus"] == 4
    assert worker_resources(many, 5, 100) == {"workers": 5, "cpus": 2, "gpus": 0.0}
    odd = Cluster(3, CPU=1.0, memory=16 * gib)
    assert worker_resources(odd, None, 100) == {"workers": 1, "cpus": 1, "gpus": 0.0}
    assert worker_resources(odd, 2, 100) == {"workers": 2, "cpus": 1, "gpus": 0.0}


def test_without_ray_it_says_what_to_install(tmp_path, lake, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-rlr\[batch\]'"):
        score_images(MODEL, lake, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", "2"), "--workers is for --engine ray alone"),
        (("--ray-address", "auto"), "--ray-address is for --engine ray alone"),
        (("--image-column", "a"), "--image-column is for --engine ray alone"),
        (("--engine", "ray", "--show-reconstruction"), "Leave --show-reconstruction"),
        (("--engine", "ray", "--regions"), "Leave --regions out"),
        (("--engine", "ray", "--maps", "npy"), "no pictures or maps"),
    ],
)
def test_options_of_the_other_engine(tmp_path, lake, words, message):
    output = tmp_path / "out"
    result = run("predict", lake, "--model", MODEL, "--output", output, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()


def test_an_address_needs_the_engine(tmp_path):
    result = run("predict", "s3://bucket/images", "--model", MODEL)
    assert result.exit_code == 2
    assert "'s3://bucket/images' is an address: add --engine ray." in result.stderr
