"""Builders for tensorflow-datasets, registered when both are imported.

`tfds.load("visa")` works after `import keras_rlr.datasets`, whichever of the two is
imported first. tensorflow-datasets knows builders by their classes alone: it has no
entry points for other packages, so the classes must be made, and for that it must be
imported. It is not imported for it: that would take seconds, and TensorFlow on every
backend. So the classes are made as soon as somebody else imports it.
"""

from types import ModuleType


def register_builders() -> None:
    """Registers the builders now, or as soon as tensorflow-datasets is imported."""
    try:
        # tensorflow-datasets requires it, so without it there is nothing to register.
        import wrapt
    except ImportError:
        return
    wrapt.register_post_import_hook(_import_builders, "tensorflow_datasets")


def _import_builders(library: ModuleType) -> None:
    from keras_rlr.datasets.tfds_builders import mvtec_ad, visa  # noqa: F401
