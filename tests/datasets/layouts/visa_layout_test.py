import numpy as np
import pytest

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.verify_dataset import verify_dataset
from tests.datasets.layouts.write_files import write_image, write_mask, write_visa

pytestmark = pytest.mark.backend_independent

HEAD = "object,split,label,image,mask\n"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "visa"
    write_visa(root)
    return root


def rows(dataset):
    return [(s.category, s.label, s.defect_type, s.path) for s in dataset.samples]


def test_the_table_says_which_image_is_for_what(root):
    assert FolderDataset(root).layout == "VisA's layout"
    assert rows(FolderDataset(root))[:3] == [
        ("candle", 0, "good", f"candle/Data/Images/Normal/{i:04}.JPG") for i in range(3)
    ]
    test = FolderDataset(root, "test", categories=["pcb1"])
    assert rows(test) == [
        ("pcb1", 1, "anomaly", "pcb1/Data/Images/Anomaly/000.JPG"),
        ("pcb1", 1, "anomaly", "pcb1/Data/Images/Anomaly/001.JPG"),
        ("pcb1", 0, "good", "pcb1/Data/Images/Normal/0003.JPG"),
        ("pcb1", 0, "good", "pcb1/Data/Images/Normal/0004.JPG"),
    ]
    assert test.has_masks
    # Mask values are class ids: any of them is anomalous.
    for i, anomalous in enumerate([6, 6, 0, 0]):
        mask = test[i]["mask"]
        assert mask.sum() == anomalous
        assert set(np.unique(mask)) <= {0, 1}


def test_the_folder_of_one_category(root):
    dataset = FolderDataset(root / "pcb1", "test")
    assert dataset.categories == ("pcb1",)
    assert dataset.samples[0].path == "Data/Images/Anomaly/000.JPG"
    assert dataset[0]["mask"].any()


def test_what_amazons_script_makes_of_it(tmp_path):
    folder = tmp_path / "1cls" / "candle"
    write_image(folder, "train/good/0000.JPG")
    write_image(folder, "test/good/0001.JPG")
    write_image(folder, "test/bad/000.JPG")
    write_mask(folder, "ground_truth/bad/000.png", value=255)
    for path in (tmp_path, tmp_path / "1cls", folder):
        test = FolderDataset(path, "test")
        assert test.categories == ("candle",)
        assert [s.defect_type for s in test.samples] == ["bad", "good"]
        assert test[0]["mask"].sum() == 6
        assert len(FolderDataset(path)) == 1


def test_a_missing_file_is_named(root):
    (root / "candle/Data/Images/Normal/0001.JPG").unlink()
    with pytest.raises(ValueError, match=r"0001.JPG' is missing, but the table of"):
        FolderDataset(root)
    assert len(FolderDataset(root, categories=["pcb1"])) == 3


def test_an_anomalous_image_without_a_mask_is_named(root):
    table = root / "split_csv/1cls.csv"
    text = table.read_text().replace("pcb1/Data/Masks/Anomaly/001.png", "")
    table.write_text(text)
    with pytest.raises(ValueError, match=r"001.JPG' has no mask in the table"):
        FolderDataset(root, "test")


def test_images_may_be_links(root, tmp_path):
    image = root / "candle/Data/Images/Anomaly/000.JPG"
    image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    for path in (root, root / "candle"):
        assert FolderDataset(path, "test", ["candle"])[0]["label"] == 1


def test_a_missing_table_is_named(root):
    (root / "split_csv/1cls.csv").unlink()
    with pytest.raises(ValueError, match=r"no table of the splits. Expected '.*1cls"):
        FolderDataset(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object,split\n", "must have the columns object, split, label, image, mask"),
        ("", "It has none"),
        (
            f"{HEAD}a,valid,normal,a.JPG,\n",
            "Line 2 of .*'valid'",
        ),
        (f"{HEAD}a,test,odd,a.JPG,\n", "Line 2 of .*'odd'"),
        (
            f"{HEAD}a,test,normal,../a.JPG,\n",
            "Line 2 of .* must name a file below the data set's folder.*'../a.JPG'",
        ),
        (f"{HEAD}a,test,normal,,\n", "Received: ''"),
    ],
)
def test_a_malformed_table(root, text, message):
    (root / "split_csv/1cls.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        FolderDataset(root)


def test_an_unknown_category(root):
    with pytest.raises(ValueError, match=r"no category 'x'. Choose from: candle, pcb1"):
        FolderDataset(root, categories=["x"])


def as_spreadsheet(text, encoding="utf-8", delimiter=",", end="\r\n", head=""):
    return (head + text.replace(",", delimiter).replace("\n", end)).encode(encoding)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: as_spreadsheet(text, "utf-8-sig"),
        lambda text: as_spreadsheet(text, "cp1252", ";"),
        lambda text: as_spreadsheet(text, "utf-16", "\t"),
        lambda text: as_spreadsheet(text, "utf-16-le", "\t"),
        lambda text: as_spreadsheet(text, delimiter=";", head="sep=;\r\n"),
        lambda text: as_spreadsheet(text, end="\r"),
        lambda text: as_spreadsheet(text.replace("/", "\\")),
        lambda text: as_spreadsheet(
            text.replace("object,split", " Object , SPLIT").replace(
                "anomaly", "Anomaly"
            )
        ),
        lambda text: as_spreadsheet(text.replace("\n", ",,,\n") + ",,,,,,,\n\n,,,,\n"),
        lambda text: as_spreadsheet(
            "\n".join(
                ",".join(f'"{cell}"' for cell in line.split(","))
                for line in text.splitlines()
            )
        ),
    ],
    ids=[
        *("mark", "semicolons", "utf16", "no mark", "sep", "mac", "backslashes"),
        *("case", "empty cells", "quotes"),
    ],
)
def test_a_table_that_a_spreadsheet_saved_anew(root, change):
    before = {s: rows(FolderDataset(root, s)) for s in ("train", "test")}
    table = root / "split_csv/1cls.csv"
    table.write_bytes(change(table.read_text()))
    assert {s: rows(FolderDataset(root, s)) for s in ("train", "test")} == before
    assert not verify_dataset(root).problems


def test_letters_beyond_ascii_in_a_table(root):
    (root / "pcb1").rename(root / "Gerät")
    table = root / "split_csv/1cls.csv"
    text = table.read_text().replace("pcb1", "Gerät")
    for encoding in ("utf-8", "cp1252", "utf-16"):
        table.write_bytes(text.encode(encoding))
        assert FolderDataset(root).categories == ("Gerät", "candle")


@pytest.mark.filterwarnings("ignore:Left out of")
def test_what_the_table_does_not_name(root):
    write_image(root, "pcb1/Data/Images/Normal/9999.JPG")
    table = root / "split_csv/1cls.csv"
    with table.open("a") as file:
        file.write("pcb1,train,anomaly,pcb1/Data/Images/Anomaly/009.JPG,\n")
    write_image(root, "pcb1/Data/Images/Anomaly/009.JPG")
    dataset = FolderDataset(root)
    line = dataset.account.left_out_summary()
    assert "1 image that the table of the splits does not name" in line
    assert "1 image to train on that is not normal" in line
    assert dataset.account.counts["table"] == 1
    assert len(dataset) == 6


def test_an_image_in_both_splits_is_refused(root):
    table = root / "split_csv/1cls.csv"
    with table.open("a") as file:
        file.write("pcb1,test,normal,pcb1/Data/Images/Normal/0000.JPG,\n")
    with pytest.raises(ValueError, match=r"0000.JPG' is used twice"):
        FolderDataset(root, "test")


def test_black_masks_of_normal_images_are_accepted(root):
    table = root / "split_csv/1cls.csv"
    name = "candle/Data/Images/Normal/0003.JPG,"
    mask = "candle/Data/Masks/Normal/0003.png"
    assert name in table.read_text()
    table.write_text(table.read_text().replace(name, name + mask))
    write_mask(root, mask, value=0)
    test = FolderDataset(root, "test", ["candle"])
    assert [element["mask"].sum() for element in test] == [6, 6, 0, 0]
    write_mask(root, mask)
    with pytest.raises(ValueError, match="called normal by its place, but its mask"):
        list(FolderDataset(root, "test", ["candle"]))


@pytest.mark.filterwarnings("ignore:Left out of")
def test_the_table_beside_folders_of_another_layout(root):
    write_image(root, "candle/train/good/a.png")
    message = r"two layouts: VisA's layout, which is used, because its table says"
    with pytest.warns(UserWarning, match=message):
        assert len(FolderDataset(root)) == 6


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("anomaly,pcb1/Data/Images/A", "normal,pcb1/Data/Images/A", "'Anomaly'"),
        ("normal,pcb1/Data/Images/N", "anomaly,pcb1/Data/Images/N", "'Normal'"),
        ("candle,test,normal,candle/", "candle,test,normal,pcb1/", "'pcb1'"),
    ],
)
def test_a_row_that_its_image_contradicts_is_refused(root, old, new, message):
    """Anomalous images were trained on as normal ones, or counted for others."""
    table = root / "split_csv/1cls.csv"
    text = table.read_text()
    assert old in text
    line = text[: text.index(old)].count("\n") + 1
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(
        ValueError, match=rf"Line {line} of .*, but .* lies in {message}"
    ):
        FolderDataset(root)
