"""--roi and --ignore: one mask or box, masks by category and masks by image."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_rlr.datasets import FolderDataset, find_images, read_image
from keras_rlr.detectors.loading import load_model
from keras_rlr.evaluation.evaluate_model import evaluate_model
from tests.products import COLOURS, images_of
from tests.run_command import run
from tests.tiny_model import ONE_LEVEL, tiny_model

pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.filterwarnings("ignore:.*too few for a false-positive rate"),
]

SIDE = 32
NO_FILE, NO_BOX = "there is no file or folder", "the box"
OPTIONS = (
    *("--method", "patchcore", "--backbone", "efficientnet_lite2", "--levels", 1),
    *(
        "--image-size",
        SIDE,
        "--calibration-fraction",
        0.5,
        "--set",
        "coreset_ratio=0.1",
    ),
)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def half(side):
    """uint8 mask (SIDE, SIDE), 255 in one half."""
    mask = np.zeros((SIDE, SIDE), "uint8")
    mask[{"left": np.s_[:, : SIDE // 2], "upper": np.s_[: SIDE // 2]}[side]] = 255
    return mask


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "products"
    for number, name in enumerate(("bolt", "nut")):
        for split, count in (("train/good", 16), ("test/good", 3), ("test/bent", 2)):
            images = images_of(COLOURS[name], count, 10 * number + count)
            for i, image in enumerate(images):
                if split == "test/bent":
                    image[20:28, 20:28] = 255
                    mask = np.zeros((SIDE, SIDE), "uint8")
                    mask[20:28, 20:28] = 255
                    write(folder / name / f"ground_truth/bent/{i}_mask.png", mask)
                write(folder / name / split / f"{i}.png", image)
    return folder


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """A folder with one mask a category: of bolts the left, of nuts the upper half."""
    folder = tmp_path_factory.mktemp("masks")
    write(folder / "bolt.png", half("left"))
    write(folder / "nut.png", half("upper"))
    return folder


@pytest.fixture(scope="module")
def trained(data, masks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(masks, folder.parent / "bolts")
    (folder.parent / "bolts" / "nut.png").unlink()
    result = run(
        "train", "--data", data, "--output", folder, *OPTIONS,
        "--roi", folder.parent / "bolts", "--ignore", "0,0,1,0.25",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return folder, result


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


def said(result):
    return " ".join(result.stderr.split())


def maps_of(folder):
    return {
        path.relative_to(folder).with_suffix("").as_posix(): np.load(path)
        for path in folder.rglob("*.npy")
    }


def test_train_keeps_masks_by_category(trained, data, tmp_path):
    folder, result = trained
    assert "--roi: '" in said(result)
    assert "has masks by category, of bolt. In images of other categories" in (
        said(result)
    )
    model = load_model(folder / "model.keras")
    regions = model.region_of_interest
    assert sorted(regions, key=str) == [None, "bolt"]
    wanted = half("left") > 0
    wanted[: SIDE // 4] = False
    np.testing.assert_array_equal(regions["bolt"], wanted)
    assert regions[None].sum() == SIDE * SIDE * 3 // 4
    assert model.known_categories == ("bolt", "nut")
    result = run(
        "predict", data, "--model", folder, "--output", tmp_path / "out",
        "--maps", "npy",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for path, values in maps_of(tmp_path / "out/anomaly_maps").items():
        inside = wanted if path.startswith("bolt") else regions[None]
        assert np.ptp(values[~inside]) == 0, path
        assert np.ptp(values[inside]) > 0, path


def test_info_says_how_much_is_looked_at(trained):
    shown = run("info", "--model", trained[0]).stdout
    # A half without its upper quarter, and what is left of the whole.
    assert (
        "region_of_interest:\n  bolt: 37.5% of the image\n"
        "  all others: 75.0% of the image\n"
    ) in shown


def test_masks_by_image_lie_as_the_images_do(folder, data, tmp_path):
    tree = tmp_path / "tree"
    paths = find_images(data / "bolt" / "test")
    for path in paths[1:]:
        write(tree / path.relative_to(data / "bolt"), half("upper"))
    write(tree / "test/other.png", half("upper"))
    before = (folder / "model.keras").read_bytes()
    result = run(
        "predict", data / "bolt", "--model", folder, "--output", tmp_path / "out",
        "--maps", "npy", "--roi", tree, "--ignore", "0,0,0.5,1", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    scores = json.loads(result.stdout)["scores"]
    count = len(scores)
    assert (
        f"has masks by image, for {len(paths) - 1} of {count} images; in the other "
        f"{count - len(paths) + 1} all is looked at; 1 mask is of no image (test/other)"
    ) in said(result)
    found = maps_of(tmp_path / "out/anomaly_maps")
    right = half("left") == 0
    for path, values in found.items():
        has_mask = path.startswith("test") and path != "test/bent/0"
        inside = right & (half("upper") > 0) if has_mask else right
        assert np.ptp(values[~inside]) == 0, path
        assert np.ptp(values[inside]) > 0, path
    assert (folder / "model.keras").read_bytes() == before


def test_black_masks_of_images_ignore_nothing_and_are_counted(folder, data, tmp_path):
    tree = tmp_path / "tree"
    black, *paths = find_images(data / "bolt" / "test")
    for path in paths:
        write(tree / path.relative_to(data / "bolt"), half("upper"))
    write(tree / black.relative_to(data / "bolt"), 0 * half("upper"))
    result = run(
        "predict", data / "bolt" / "test", "--model", folder, "--roi", "0,0,1,1",
        "--output", tmp_path / "out", "--ignore", tree / "test", "--maps", "npy",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    name = black.relative_to(data / "bolt" / "test").as_posix()
    assert (
        "--ignore: the masks of 1 images have no pixel above 0, so nothing is ignored "
        f"there: {name}."
    ) in said(result)
    upper = half("upper") > 0
    for path, values in maps_of(tmp_path / "out/anomaly_maps").items():
        is_black = path == name.removesuffix(black.suffix)
        assert (np.ptp(values[upper]) > 0) == is_black


def test_evaluate_and_calibrate_take_masks_by_image(folder, data, tmp_path):
    tree = tmp_path / "tree"
    for path in find_images(data):
        if "ground_truth" not in path.parts:
            write(tree / path.relative_to(data), half("upper"))
    model = load_model(folder / "model.keras")
    model.region_of_interest = half("upper")
    test = FolderDataset(data, "test")
    expected = evaluate_model(model, test)
    result = run(
        "evaluate", "--data", data, "--model", folder, "--roi", tree, "--json",
        "--output", tmp_path / "found",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "for 10 of 10 images; 32 masks are of no image" in said(result)
    found = json.loads(result.stdout)
    written = json.loads((tmp_path / "found/metrics.json").read_text())["protocol"]
    assert written["images_with_a_mask"] == 10 and written["masks_fingerprint"]
    for name in ("bolt", "nut"):
        figures = expected["categories"][name]
        assert found["categories"][name] == pytest.approx(figures, abs=1e-5)
    own = load_model(folder / "model.keras").region_of_interest
    result = run(
        "calibrate", "--model", folder, "--data", data, "--false-positive-rate", 0.2,
        "--roi", tree,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "for 16 of 16 images" in said(result)
    assert "are not kept in the model" in result.stdout
    saved = load_model(folder / "model.keras")
    np.testing.assert_array_equal(saved.region_of_interest["bolt"], own["bolt"])
    assert saved.thresholds.region == saved.region_fingerprint != ""
    model = load_model(folder / "model.keras")
    model.region_of_interest = half("upper")
    result = run(
        "calibrate", "--model", folder, "--data", data, "--false-positive-rate", 0.2,
        "--roi", "0,0,1,0.5",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    again = load_model(folder / "model.keras")
    assert again.threshold == pytest.approx(saved.threshold, rel=1e-5)
    np.testing.assert_array_equal(again.region_of_interest, half("upper") > 0)


def test_calibrate_keeps_masks_by_category(folder, data, tmp_path):
    before = load_model(folder / "model.keras").region_of_interest
    write(tmp_path / "masks/nut.png", half("upper"))
    result = run(
        "calibrate", "--model", folder, "--data", data, "--false-positive-rate", 0.2,
        "--ignore", tmp_path / "masks",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = "of nut. In images of bolt, and of no category that the model knows, nothing"
    assert told in said(result)
    after = load_model(folder / "model.keras").region_of_interest
    # Beside what it had.
    np.testing.assert_array_equal(after["bolt"], before["bolt"])
    np.testing.assert_array_equal(after[None], before[None])
    np.testing.assert_array_equal(after["nut"], half("upper") == 0)
    with_feedback = tmp_path / "scores.csv"
    with_feedback.write_text("path,verdict\nbolt/test/bent/0.png,anomalous\n")
    tree = tmp_path / "tree"
    write(tree / "bolt/test/bent/0.png", half("upper"))
    result = run(
        "calibrate", "--model", folder, "--data", data, "--json",
        "--false-positive-rate", 0.2, "--feedback", with_feedback, "--roi", tree,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "for 1 of 17 images" in said(result)
    (judged,) = json.loads(result.stdout)["feedback"]["images"]
    model = load_model(folder / "model.keras")
    model.region_of_interest = half("upper")
    image = read_image(data / "bolt/test/bent/0.png")
    (score,) = model.predict(image[None], verbose=0)["anomaly_score"]
    assert judged["anomaly_score"] == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "--roi", "TYPO"), "Expected masks that lie as the images do"),
        (("predict", "--roi", "TYPO"), "a category: the model knows bolt, nut."),
        (("predict", "--roi", "EMPTY"), "There are no masks in"),
        (("predict", "--roi", "BLACK"), "--roi: The region of interest of bolt has no"),
        (("predict", "--ignore", "0,0,1,1"), "--ignore: The region of interest has no"),
        (("predict", "--ignore", "BLACK.png"), "--ignore: The mask of what to ignore"),
        (("predict", "--ignore", "SPECK"), "--ignore: What to ignore of bolt is smal"),
        (("train", "--ignore", "BLACK.png"), "--ignore: The mask of what to ignore"),
        (("predict", "--ignore", "SPECKS"), "What to ignore is smaller than a pixel"),
        (("predict", "--roi", "BROKEN"), "The mask of 'bolt/test/bent/0.png', '"),
        (("predict", "--roi", "TWICE"), "are masks of the same images"),
        (("predict", "--roi", "BROKEN", "--engine", "ray"), "knows no masks by image"),
        (("train", "--roi", "TYPO"), "mask for bolts, which the data set does not"),
        (("train", "--ignore", "BROKEN"), "or give --ignore to predict"),
        (
            ("train", "--roi", "MASKS", "--calibration-fraction", 0),
            "Give a `calibration_fraction` above 0",
        ),
        (("evaluate", "--roi", "MASKS", "--model", "BLIND"), "calibrate` with normal"),
        (("predict", "--roi", "LOSSY.jpg"), "LOSSY.jpg' is in a format that changes"),
        (("train", "--ignore", "LOSSY.jpg"), "Save masks as .png, .bmp, .tif or .gif"),
        (("predict", "--roi", "LOSSY"), "bolt.jpg' is in a format that changes pixels"),
        (("evaluate", "--ignore", "LOSSIES"), "0.jpg' is in a format that changes pix"),
        (("predict", "--roi", "EMPTY"), "Expected .png, .bmp, .tif or .gif files: one"),
        *(
            ((command, f"{option}={box}"), f"{option}: {start} '{box}'")
            for command, option, start, box in (
                ("predict", "--roi", NO_FILE, "0,0,1"),
                ("train", "--roi", NO_FILE, "0,0,1,1,"),
                ("evaluate", "--ignore", NO_FILE, "0;0;1;1"),
                ("calibrate", "--ignore", NO_FILE, "10%,0,80%,1"),
                ("predict", "--roi", NO_FILE, "maskk.png"),
                ("predict", "--roi", NO_BOX, "-0.1,0,0.5,0.5"),
                ("train", "--ignore", NO_BOX, "nan,0,1,1"),
                ("evaluate", "--roi", NO_BOX, "0,0,inf,1"),
                ("predict", "--ignore", NO_BOX, "0.5,0,0.6,1"),
                ("calibrate", "--roi", NO_BOX, "0,0,1,0"),
            )
        ),
        (("predict", "--roi=0,0,1"), "LEFT,TOP,WIDTH,HEIGHT in shares of the image's"),
        (("predict", "--roi=2,0,1,1"), "LEFT,TOP,WIDTH,HEIGHT in shares of the imag"),
        (("predict", "--roi=0.5,0,1e-9,1e-9"), "--roi: The region of interest is sm"),
        (("predict", "--category", "screw"), "the product recognised in each"),
    ],
)
def test_what_can_not_be_is_refused(trained, data, masks, tmp_path, words, message):
    black = np.zeros((SIDE, SIDE), "uint8")
    write(tmp_path / "TYPO/bolts.png", half("left"))
    write(tmp_path / "BLACK/bolt.png", black)
    write(tmp_path / "BLACK.png", black)
    speck = np.zeros((9 * SIDE, 9 * SIDE), "uint8")
    speck[0, 0] = 255
    write(tmp_path / "SPECK/bolt.png", speck)
    write(tmp_path / "SPECKS/bolt/test/bent/0.png", speck)
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "BROKEN/bolt/test/bent").mkdir(parents=True)
    (tmp_path / "BROKEN/bolt/test/bent/0.png").write_bytes(b"no image")
    write(tmp_path / "TWICE/bolt.png", half("left"))
    write(tmp_path / "TWICE/bolt.bmp", half("left"))
    for name in ("LOSSY.jpg", "LOSSY/bolt.jpg", "LOSSIES/bolt/test/bent/0.jpg"):
        write(tmp_path / name, half("left"))
    if "BLIND" in words:
        model = tiny_model(**ONE_LEVEL, trained_categories=["bolt", "nut"])
        model.save(tmp_path / "model.keras")
    places = {"MASKS": masks, "BLIND": tmp_path / "model.keras"}
    words = [
        places.get(word, tmp_path / word if str(word)[:3].isupper() else word)
        for word in words
    ]
    command, *words = words
    common = {
        "predict": (data, "--model", trained[0], "--output", tmp_path / "out"),
        "train": ("--data", data, "--output", tmp_path / "out", *OPTIONS),
        "evaluate": ("--data", data, "--model", trained[0]),
        "calibrate": (
            *("--data", data, "--model", trained[0]),
            *("--false-positive-rate", 0.2),
        ),
    }
    result = run(command, *common[command], *words)
    assert result.exit_code == 2, result.output
    assert message in said(result)
    assert not (tmp_path / "out").exists()
