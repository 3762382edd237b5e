"""The benchmark of a GPU, on the CPU with a tiny model, and its keeping of time."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks import gpu, gpu_cells, gpu_jobs, gpu_models, gpu_report

pytestmark = pytest.mark.backend_independent


def options(*more):
    return ["--device", "cpu", "--small", "--backends", "torch", *more]


def job_of(cells, folder, **settings):
    job = {
        "role": "cells",
        "backend": "torch",
        "dtype": "float32",
        "small": True,
        "device": "cpu",
        "seconds": 0.01,
        "folder": str(folder),
        "until": time.time() + 600,
        "cells": cells,
    }
    return {**job, **settings}


def measured(job):
    told = []
    gpu_cells.run(job, told.append)
    assert "devices" in told[0]["environment"]
    return {one["cell"]: one for one in told if "cell" in one}


def test_every_kind_of_cell_is_measured(tmp_path):
    measured(job_of([], tmp_path, role="reference"))
    # Of all kinds; that of one level has no kind of its own.
    cells = gpu_jobs.cells(("all", "fused"), small=True)
    every = gpu_jobs.cells(gpu_jobs.MODELS, small=True)
    assert {one["kind"] for one in cells} == {one["kind"] for one in every}
    found = measured(job_of(cells, tmp_path))
    assert [one["name"] for one in cells] == list(found)
    for name, one in found.items():
        figures = one["figures"]
        if "agreement" in name:
            assert max(figures.values()) < 1e-5
            assert len(figures) == 4
        elif "largest" in name:
            assert figures["largest_batch"] == 16
            assert figures["ended_by"] == "limit"
            assert list(figures["rates"]) == ["8", "16"]
        else:
            assert figures["images_per_second"] > 0
        assert "peak_mib" not in figures  # Of a CPU there is none.


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_small_dtypes_train_and_agree(dtype, tmp_path):
    measured(job_of([], tmp_path, role="reference"))
    kinds = [("agreement", "all", 2), ("train_features", "fused", 4)]
    cells = [gpu_jobs.cell(*one) for one in kinds]
    agreement, training = measured(job_of(cells, tmp_path, dtype=dtype)).values()
    assert max(agreement["figures"].values()) < 0.05
    assert np.isfinite(training["figures"]["last_loss"])


def test_a_cell_that_fails_does_not_take_the_others_with_it(tmp_path, monkeypatch):
    def too_large(model, count):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(gpu_models, "image_batch", too_large)
    names = [("train_images", 4), ("agreement", 2), ("train_features", 4)]
    cells = [gpu_jobs.cell(kind, "3", batch) for kind, batch in names]
    found = list(measured(job_of(cells, tmp_path)).values())
    assert found[0]["reason"].startswith("out of memory: RuntimeError: CUDA out")
    assert "no maps of the CPU" in found[1]["reason"]
    assert found[2]["figures"]["images_per_second"] > 0


def test_the_largest_batch_is_the_last_that_fits(tmp_path, monkeypatch):
    made = gpu_models.feature_batch

    def limited(model, count):
        if count > 8:
            raise MemoryError("RESOURCE_EXHAUSTED")
        return made(model, count)

    monkeypatch.setattr(gpu_models, "feature_batch", limited)
    (found,) = measured(
        job_of([gpu_jobs.cell("largest_train", "3", 64)], tmp_path)
    ).values()
    assert found["figures"]["largest_batch"] == 8
    assert found["figures"]["ended_by"] == "memory"


def test_what_has_no_figures_is_named_with_the_reason(tmp_path, monkeypatch, capsys):
    def run_job(job, tell):
        if job["role"] == "distribution":
            return "its process ended with 1: no such library"
        cells = job["cells"]
        for one in cells[:2]:
            tell({"begins": one["name"]})
            figures = {"images_per_second": 100.0, "milliseconds_a_step": 40.0}
            tell({"cell": one["name"], "figures": figures})
        if len(cells) > 2:
            tell({"begins": cells[2]["name"]})
        return "the time was up" if cells else None

    monkeypatch.setattr(gpu, "run_job", run_job)
    file = tmp_path / "gpu.json"
    code = gpu.main(options("--dtypes", "float32", "--json", str(file)))
    assert code == 1
    printed = capsys.readouterr().out
    assert "the time was up, in the midst of it" in printed
    assert "no such library" in printed
    content = json.loads(file.read_text(encoding="utf-8"))
    names = [one["cell"] for one in content["measured"] + content["not_measured"]]
    wanted = [one["name"] for one in gpu_jobs.cells(gpu_jobs.MODELS, small=True)]
    # One of data parallelism on PyTorch, and one on TensorFlow.
    assert sorted(names[:-2]) == sorted(wanted)
    assert all(name.endswith("batch 8") for name in names[-2:])


def test_times_are_projected_from_what_was_measured():
    chosen = gpu_parser("--dtypes", "float32")
    results = gpu_report.Results(chosen)
    job = job_of([], "")
    rates = {("extract", "all"): 100.0, ("train_features", "all"): 1000.0}
    for (kind, model), rate in rates.items():
        cell = gpu_jobs.cell(kind, model, 4)
        results.add(job, cell, {"images_per_second": rate})
    minutes = {one["what"]: one["minutes"] for one in results.projections()}
    seconds = 3629 * 200 / 1000 + 3629 / 100
    expected = pytest.approx(seconds / 60)
    assert minutes["paper's recipe, steps on kept features"] == expected
    assert minutes["default recipe, steps on kept features"] is None


def gpu_parser(*arguments):
    """The options, parsed by the command itself."""
    parsed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "measure", lambda chosen, *_: parsed.append(chosen))
        gpu.main(options(*arguments))
    return parsed[0]


def test_time_is_shared_and_what_is_left_goes_on():
    jobs = [{"role": role} for role in ("cells", "cells", "distribution")]
    first = gpu_jobs.deadline(jobs, 0.0, 230.0)
    assert first == 100.0
    # The first was done at once.
    assert gpu_jobs.deadline(jobs[1:], 0.0, 230.0) == 200.0
    assert gpu_jobs.deadline(jobs[2:], 200.0, 230.0) == 230.0


def test_a_process_that_takes_too_long_is_ended():
    code = "import time; print('begun', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process, gpu_jobs.ended_at(process, time.time() + 0.5) as was_ended:
        assert process.stdout.read() in (b"begun\n", b"")
        assert process.wait() < 0
    assert was_ended()


def test_without_a_gpu_it_says_so(capsys, monkeypatch):
    reasons = {"torch": "PyTorch sees no GPU", "tensorflow": None}
    monkeypatch.setattr(gpu, "probe", lambda backends: reasons)
    with pytest.raises(SystemExit) as ended:
        gpu.main(["--backends", "torch"])
    assert ended.value.code == 2
    assert "There is no GPU to measure: PyTorch sees no GPU." in capsys.readouterr().err
    for wrong in (["--dtypes", "int8"], ["--json", "nowhere/at/all.json"]):
        with pytest.raises(SystemExit) as ended:
            gpu.main(options(*wrong))
        assert ended.value.code == 2


def test_the_whole_command_in_processes(tmp_path):
    file = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", *options()]
    command += ["--dtypes", "float32", "--models", "3", "--no-distribution"]
    done = subprocess.run(
        [*command, "--json", str(file)], cwd=gpu.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(file.read_text(encoding="utf-8"))
    assert len(content["measured"]) == 3
    assert content["not_measured"] == []
    (environment,) = content["environments"].values()
    assert environment["backend"] == "torch"
    assert "3 cells measured, 0 not" in done.stdout
