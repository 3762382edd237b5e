from typing import Any, ClassVar

from keras_rlr.detectors.loading import load_saved, names_a_file, preset_settings


class FromPresets:
    """A class that is made by the names of settings, or from saved files."""

    # Settings by name, of a method's own.
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}

    @classmethod
    def from_preset(cls, preset, **overrides):
        """Returns the model of a name, or one that was saved.

        Args:
            preset: A name in the class's `PRESETS`, the path of a `.keras` file, or of
                a folder with a `model.keras` in it.
            **overrides: Arguments of the class that replace the preset's. A saved
                model takes only `distribution`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If there is no such preset, the model can't be loaded, or it is
                of another class.
        """
        if preset in cls.PRESETS or not names_a_file(preset):
            return cls(**cls.preset_arguments(preset, **overrides))
        return load_saved(cls, preset, **overrides)

    @classmethod
    def preset_for(cls, backbone=None):
        """Returns the name of the preset of a backbone; the first where there is none.

        Args:
            backbone: Name of a backbone, or None.
        """
        names = list(cls.PRESETS)
        fits = [n for n in names if cls.PRESETS[n].get("backbone") == backbone]
        return [*fits, *names][0]

    @classmethod
    def preset_arguments(cls, preset, **overrides):
        """Returns the arguments that a preset stands for; some may be replaced.

        Args:
            preset: A name in `PRESETS`.
            **overrides: Arguments that replace the preset's.

        Raises:
            ValueError: If there is no such preset; the message lists them.
        """
        return {**preset_settings(preset, cls.PRESETS), **overrides}
