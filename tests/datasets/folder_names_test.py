import pytest

from keras_rlr.datasets.folder_names import (
    is_anomalous,
    is_masks,
    is_normal,
    looks_masks,
    looks_normal,
    thumbnail_of,
    without_mask_ending,
)

pytestmark = pytest.mark.backend_independent

# Kinds of defects as published, and some that have words of normal images in them.
DEFECTS = """
broken_large broken_small contamination bent_lead cut_lead damaged_case misplaced
bent_wire cable_swap combined cut_inner_insulation cut_outer_insulation missing_cable
missing_wire poke_insulation crack faulty_imprint poke scratch squeeze color cut hole
metal_contamination thread bent broken glue fold flip pill_type manipulated_front
scratch_head scratch_neck thread_side thread_top glue_strip gray_stroke oil rough
defective liquid broken_teeth fabric_border fabric_interior split_teeth squeezed_teeth
logical_anomalies structural_anomalies anomaly bad ko rust major_rust total_rust
parts_mismatch flattening defect_painting scratches ng nok not_ok NotOK not-good
no_good nogood n_ok non_normal abnormal good_bottle_broken ok_but_scratched
good_cable_missing no_cap no_label label_missing torn_label solder_mask_damage
missing_mask wrong_label broken_mask print shift open gel bubble
"""

NORMAL = """
good_2 ok-new normal1 Goods goods OK_2 okay good_new goodImages normals new_normal
defect_free defect-free no_defect no_defects nodefect non_defective non-defective
undamaged without_defects flawless not_anomalous no_anomaly error_free 0 000 class0
label_0 CLASS_0 pass passed perfect intact healthy negative io i.O. gut good_front
images_ok no_defect_2
"""


def test_kinds_of_defects_are_that():
    for name in DEFECTS.split():
        assert not looks_normal(name), name
        assert not looks_masks(name, {name}), name


def test_names_that_are_probably_of_normal_images():
    for name in [*NORMAL.split(), "Good images", "ok ", "正常", "1-good"]:
        assert looks_normal(name) and not is_normal(name), name


@pytest.mark.parametrize("name", ["good", "OK", "Normal", "GOOD", "ok"])
def test_known_names_of_normal_images(name):
    assert is_normal(name) and looks_normal(name)


@pytest.mark.parametrize("name", ["bad", "NG", "not_ok", "anomalies", "Defective"])
def test_known_names_of_anomalous_images(name):
    assert is_anomalous(name)


@pytest.mark.parametrize(
    "name",
    [
        *("mask", "Masks", "label", "LABELS", "gt", "GT", "ground_truth"),
        *("Ground-Truth", "groundtruth", "annotations", "seg", "segmentation"),
    ],
)
def test_known_names_of_masks(name):
    assert is_masks(name) and looks_masks(name, {name})


@pytest.mark.parametrize(
    "name", ["masks_2", "binary_masks", "defect masks", "gt1", "dent_masks"]
)
def test_names_that_are_probably_of_masks(name):
    assert looks_masks(name, {name}) and not is_masks(name)


def test_masks_may_be_called_after_the_folder_beside_them():
    assert looks_masks("dent_mask", {"dent", "dent_mask"})
    assert looks_masks("Dent masks", {"dent"})
    assert not looks_masks("dent_mask", {"dent_mask", "other"})


def test_endings_of_files():
    assert without_mask_ending("a_b_mask") == "a_b"
    assert without_mask_ending("Part0_label") == "Part0"
    assert without_mask_ending("20000_GT") == "20000"
    assert without_mask_ending("unmask") is None
    assert thumbnail_of("thumb_1") == thumbnail_of("1_thumb") == "1"
    assert thumbnail_of("thumbscrew") is None
