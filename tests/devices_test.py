import json
import re
from pathlib import Path

import keras
import pytest

from keras_rlr.devices import device_names
from keras_rlr.environment import describe_environment
from tests.fresh_process import start_command

# A distribution that means a GPU, for each backend that is told by one.
GPU_DISTRIBUTIONS = {"jax": "jax-cuda12-plugin", "tensorflow": "nvidia-cudnn-cu12"}


def info(backend, *folders, **environment):
    """`keras-rlr info --json`, with a folder's distributions as if installed."""
    environment = {"JAX_PLATFORMS": "", "CUDA_VISIBLE_DEVICES": "0", **environment}
    options = {"backend": backend, "path": folders, "environment": environment}
    result = start_command("info", "--json", **options).wait()
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def install(folder, name):
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_the_devices_are_those_of_the_backend():
    names = device_names()
    kinds = {name.split(":")[0] for name in names}
    assert names and kinds <= {"cpu", "gpu", "tpu", "mps", "cuda"}
    if keras.backend.backend() != "torch":
        listed = keras.distribution.list_devices()
        assert len(listed) == sum(name.startswith(listed[0][:3]) for name in names)
    assert describe_environment()["devices"] == names


@pytest.mark.backend_independent
@pytest.mark.parametrize(("backend", "name"), GPU_DISTRIBUTIONS.items())
def test_a_gpu_library_without_a_gpu_is_said_in_a_line(backend, name, tmp_path):
    install(tmp_path, name)
    facts, stderr = info(backend, tmp_path)
    if any(not device.startswith("cpu") for device in facts["devices"]):
        assert "sees no GPU" not in stderr
        return
    [line] = [line for line in stderr.splitlines() if "GPU" in line]
    assert line.startswith(f"Warning: {name} is installed, but ")
    assert re.search("(JAX|TensorFlow) sees no GPU and computes on the CPU", line)
    _, hidden = info(backend, tmp_path, CUDA_VISIBLE_DEVICES="-1")
    assert "GPU" not in hidden


@pytest.mark.backend_independent
def test_a_cpu_installation_says_nothing():
    """TensorFlow's wheel for CPUs is built with CUDA; it must not be taken at that."""
    if Path("/proc/driver/nvidia/version").exists():
        return
    _, stderr = info("tensorflow")
    assert "GPU" not in stderr


@pytest.mark.backend_independent
def test_a_pytorch_built_for_cuda_without_a_gpu_says_so(monkeypatch):
    import torch

    from keras_rlr.devices import missing_gpu

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    if keras.backend.backend() == "torch" and not torch.cuda.is_available():
        assert missing_gpu().startswith("PyTorch was built for CUDA 12.8, but PyTorch ")
