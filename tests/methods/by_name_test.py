import pytest

import keras_rlr
from keras_rlr.methods.by_name import METHODS, check_arguments, method_for

pytestmark = pytest.mark.backend_independent


def test_every_method_is_public_and_has_presets_of_its_name():
    for name, method in METHODS.items():
        assert getattr(keras_rlr, method.__name__) is method
        assert name == method.__name__.lower()
        assert method.PRESETS
        assert all(preset.startswith(name) for preset in method.PRESETS)
        for preset in method.PRESETS:
            check_arguments(method, method.preset_arguments(preset))


def test_a_preset_belongs_to_one_method():
    names = [preset for method in METHODS.values() for preset in method.PRESETS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ((None, None), "RLR"),
        (("patchcore", None), "PatchCore"),
        ((None, "padim_efficientnet_b6"), "PaDiM"),
        ((None, "rlr_efficientnet_lite2"), "RLR"),
    ],
)
def test_a_choice_names_a_class(choice, name):
    assert method_for(*choice).__name__ == name


def test_a_backbone_has_its_preset():
    method = METHODS["patchcore"]
    assert method.preset_for("efficientnet_lite2") == "patchcore_efficientnet_lite2"
    assert method.preset_for() == method.preset_for("resnet_50_imagenet")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (("patch_core", None), "Did you mean 'patchcore'"),
        (("PatchCore", None), "Did you mean 'patchcore'"),
        ((None, "patchcore_lite2"), "Did you mean 'patchcore_efficientnet_lite2'"),
    ],
)
def test_unknown_names_are_refused(choice, message):
    with pytest.raises(ValueError, match=message):
        method_for(*choice)


def test_arguments_of_another_method_are_refused():
    with pytest.raises(ValueError, match="PatchCore has no 'hidden_dims'. It takes"):
        check_arguments(METHODS["patchcore"], {"hidden_dims": (64,), "seed": 1})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("error_share", "a number, by default 0.25"),
        ("num_blocks", "a whole number, by default 4"),
        ("fuse_levels", "true or false, by default false"),
    ],
)
def test_a_word_is_no_number(name, wanted):
    with pytest.raises(ValueError, match=f"`{name}` of RLR takes {wanted}"):
        check_arguments(METHODS["rlr"], {name: "many"})
