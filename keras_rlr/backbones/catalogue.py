"""The backbones that are known by name, and what their levels are."""

STRIDES = (4, 8, 16)

# Channels of levels 1, 2 and 3. The EfficientNets' follow from their width
# coefficients (Tan and Le, "EfficientNet", ICML 2019), rounded to multiples of 8.
CHANNELS: dict[str, tuple[int, int, int]] = {
    "efficientnet_b0": (24, 40, 112),
    "efficientnet_b1": (24, 40, 112),
    "efficientnet_b2": (24, 48, 120),
    "efficientnet_b3": (32, 48, 136),
    "efficientnet_b4": (32, 56, 160),
    "efficientnet_b5": (40, 64, 176),
    "efficientnet_b6": (40, 72, 200),
    "efficientnet_b7": (48, 80, 224),
    "efficientnet_lite2": (24, 48, 120),
}

# Those whose ImageNet weights ship with this package; the others' are downloaded.
PACKAGED = ("efficientnet_lite2",)
