"""What the backend computes on, and whether a GPU was expected but not found."""

import importlib.metadata
import os
import re
from pathlib import Path

import keras

# Distributions that are installed to run on a GPU and for nothing else.
_GPU_DISTRIBUTIONS = {
    "jax": re.compile(r"jax[-_](cuda|rocm)\d*[-_]plugin"),
    # TensorFlow's own wheel is built with CUDA, on machines without a GPU too; it
    # takes CUDA's libraries from the packages that tensorflow[and-cuda] asks for.
    "tensorflow": re.compile(r"nvidia[-_]cudnn"),
}
_DRIVER = Path("/proc/driver/nvidia/version")
_NAMES = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "PyTorch"}


def device_names() -> list[str]:
    """The devices that the backend sees, with the model of a GPU where it is known.

    Returns:
        Names such as `"cpu:0"` or `"gpu:0 (NVIDIA H100 80GB HBM3)"`.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return [_name(d.platform, d.id, d.device_kind) for d in jax.local_devices()]
    if backend == "tensorflow":
        return _tensorflow_devices()
    return _torch_devices()


def missing_gpu() -> str | None:
    """A sentence where GPU software is installed but the backend sees no GPU.

    GPU software is what nobody installs for a CPU: JAX' CUDA or ROCm plugin; NVIDIA's
    cuDNN package, for TensorFlow, whose wheel says "built with CUDA" of itself on any
    machine and so proves nothing; a PyTorch that was built for CUDA or ROCm. An NVIDIA
    driver counts for all three. Who hid the GPUs, by CUDA_VISIBLE_DEVICES or
    JAX_PLATFORMS, knows.

    Returns:
        The sentence, or None if there is nothing to say.
    """
    if _hidden_by_the_user():
        return None
    backend = keras.backend.backend()
    reason = _gpu_software(backend)
    # Asked last: it starts the backend's devices.
    if reason is None or any(not n.startswith("cpu") for n in device_names()):
        return None
    return (
        f"{reason}, but {_NAMES.get(backend, backend)} sees no GPU and computes on the "
        "CPU. Check that `nvidia-smi` shows it and that the driver suits the libraries."
    )


def _hidden_by_the_user() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return True
    return os.environ.get("JAX_PLATFORMS", "").strip().lower() == "cpu"


def _gpu_software(backend: str) -> str | None:
    """What says that computing on a GPU was meant, or None."""
    if backend == "torch":
        import torch

        for kind, version in (
            ("CUDA", torch.version.cuda),
            ("ROCm", torch.version.hip),
        ):
            if version:
                return f"PyTorch was built for {kind} {version}"
    if backend in _GPU_DISTRIBUTIONS:
        for distribution in importlib.metadata.distributions():
            name = distribution.metadata["Name"] or ""
            if _GPU_DISTRIBUTIONS[backend].match(name.lower()):
                return f"{name} is installed"
    return "The machine has an NVIDIA driver" if _DRIVER.exists() else None


def _tensorflow_devices() -> list[str]:
    import tensorflow as tf

    names = []
    for device in tf.config.list_physical_devices():
        details = {}
        if device.device_type == "GPU":
            details = tf.config.experimental.get_device_details(device)
        number = int(device.name.rsplit(":", 1)[-1])
        names.append(_name(device.device_type, number, details.get("device_name")))
    return names


def _torch_devices() -> list[str]:
    import torch

    names = [_name("cpu", 0, None)]
    for number in range(torch.cuda.device_count()):
        names.append(_name("gpu", number, torch.cuda.get_device_name(number)))
    if torch.backends.mps.is_available():
        names.append(_name("mps", 0, None))
    return names


def _name(kind: str, number: int, model: str | None) -> str:
    name = f"{kind.lower()}:{number}"
    return name if model in (None, kind) else f"{name} ({model})"
