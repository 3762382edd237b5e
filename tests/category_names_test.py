"""Names with an umlaut are one name, in both forms that Unicode has for it."""

import unicodedata

import pytest
from PIL import Image

from keras_rlr.category_names import known_name
from keras_rlr.datasets import FolderDataset
from keras_rlr.evaluation.score_resized import folder_category, nearest_category
from keras_rlr.training.add_products import _refuse_known
from keras_rlr.training.feedback import JudgedImage
from keras_rlr.training.judged_images import named_category

pytestmark = pytest.mark.backend_independent

ONE, TWO = (unicodedata.normalize(form, "Schlüssel") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("given, known", [(ONE, TWO), (TWO, ONE)])
def test_the_known_name_is_found(given, known, tmp_path):
    assert given != known
    names = ("Schl", known, "nut")
    assert known_name(given, names) == known
    assert known_name(given, {given, known}) == given
    assert known_name("Schlussel", names) is None
    file = tmp_path / given / "test" / "a.png"
    assert folder_category(file, names) == known
    assert nearest_category(("lake", given, "day 1"), names) == known
    assert nearest_category(("lake", "Schloss"), names) is None
    assert named_category(JudgedImage("a.png", file, given), names) == known
    with pytest.raises(ValueError, match="knows .* already"):
        _refuse_known((given, "bolt"), names, "run")


@pytest.mark.parametrize("given, known", [(ONE, TWO), (TWO, ONE)])
def test_a_category_of_a_data_set_is_chosen(given, known, tmp_path):
    for name in (known, "nut"):
        folder = tmp_path / name / "train" / "good"
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "0.png")
    assert FolderDataset(tmp_path, categories=[given]).categories == (known,)
