"""Builders for tensorflow-datasets, registered when both are imported.

`tfds.load("visa")` works after `import keras_rlr.datasets`, whichever of the two is
imported first. tensorflow-datasets is not imported for it: who does not use it should
not have to have it, nor wait for it.
"""

import importlib.abc
import sys

_LIBRARY = "tensorflow_datasets"


def register_builders():
    """Registers the builders now, or as soon as tensorflow-datasets is imported."""
    if _LIBRARY in sys.modules:
        _import_builders()
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


def _import_builders():
    from keras_rlr.datasets.tfds_builders import mvtec_ad, visa  # noqa: F401


class _AfterImport(importlib.abc.MetaPathFinder):
    """Has tensorflow-datasets found as it is found anyway, and follows its import."""

    def find_spec(self, fullname, path, target=None):
        if fullname != _LIBRARY:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    break
        else:
            return None
        if spec.loader is not None:
            spec.loader = _Following(spec.loader, self)
        return spec


class _Following(importlib.abc.Loader):
    """Loads a module by its own loader, and then the builders."""

    def __init__(self, loader, finder):
        self._loader = loader
        self._finder = finder

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        # The module is to know its real loader.
        module.__spec__.loader = module.__loader__ = self._loader
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._loader.exec_module(module)
        _import_builders()
