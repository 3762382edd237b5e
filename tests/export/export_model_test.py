"""Every format, run in a process that knows nothing of this package."""

import functools
import json
import re

import keras
import numpy as np
import openvino
import pytest
from ai_edge_litert.interpreter import Interpreter
from openvino_telemetry.main import TelemetrySender

from keras_rlr.export import compare as compare_module
from keras_rlr.export import litert, write_export
from keras_rlr.inputs.images import to_resized_rgb
from keras_rlr.layers import windowed_attention
from tests.export.run_alone import assert_same, run_alone
from tests.tiny_model import IMAGE_SIZE, ONE_LEVEL, random_images, tiny_model

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]

SUFFIXES = {"litert": ".tflite", "onnx": ".onnx", "openvino": ".xml"}


@pytest.fixture(scope="module")
def model():
    model = tiny_model(standardize_features=True)
    images = random_images(12, seed=3)
    model.fit(images, epochs=2, batch_size=4, verbose=0)
    model.calibrate(random_images(20, seed=4), false_positive_rate=0.3)
    return model


@pytest.fixture(scope="module")
def small_model():
    """A calibrated model for what does not depend on the number of levels."""
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20, seed=4), false_positive_rate=0.3)
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """A folder of exports, and their manifests by format."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        patch.setattr(TelemetrySender, "send", lambda *_: pytest.fail("told of it"))
        return folder, {
            format: model.export(
                folder / f"detector{suffix}", format=format, categories=["a", "b"]
            )
            for format, suffix in SUFFIXES.items()
        }


@pytest.fixture(scope="module")
def in_blocks(tmp_path_factory):
    """An export of a model whose attention takes blocks: its path and manifest."""
    model = tiny_model(image_size=24 * 4, windows=(5, 3))
    images = random_images(3, 24 * 4, 24 * 4, seed=3)
    folder = tmp_path_factory.mktemp("blocks")

    @functools.cache
    def export(format, name="detector"):
        path = folder / f"{name}{SUFFIXES[format]}"
        return path, model.export(path, format=format, images=images)

    return export


@pytest.mark.parametrize("format", SUFFIXES)
def test_attention_in_blocks_needs_neither_loops_nor_masks(format, in_blocks):
    _, manifest = in_blocks(format)
    loops = {"WHILE", "Loop", "TensorIterator", "If"}
    assert not loops & set(manifest["operators"])
    # One mask of all tokens by all tokens would be larger than the whole file.
    written = sum(file["bytes"] for file in manifest["files"].values())
    assert written < 4 * (24 * 24) ** 2


def of_values(node):
    """Whether a node of OpenVINO depends on images, and not on their shape alone."""
    if node.get_type_name() in ("Parameter", "ShapeOf"):
        return node.get_type_name() == "Parameter"
    return any(of_values(source.get_node()) for source in node.input_values())


def test_openvino_cannot_bound_what_blocks_are_cut_from(in_blocks):
    # It computes bounds of all of it for each block: nine minutes of the paper's model.
    path, _ = in_blocks("openvino")
    nodes = openvino.Core().read_model(str(path)).get_ops()
    slices = [node for node in nodes if node.get_type_name() == "StridedSlice"]
    whole = [
        node.input_value(0).get_node()
        for node in slices
        if node.get_output_partial_shape(0).is_static and len(node.output(0).shape) > 1
    ]
    assert len(whole) == 6
    assert all(of_values(node) for node in whole)


def test_many_keys_of_windows_are_not_stored(in_blocks, monkeypatch):
    assert windowed_attention._LARGEST_STORED == 2**19
    manifests = [in_blocks("litert")[1]]
    monkeypatch.setattr(windowed_attention, "_LARGEST_STORED", 0)
    manifests.append(in_blocks("litert", "none_stored")[1])
    written = [
        sum(file["bytes"] for file in manifest["files"].values())
        for manifest in manifests
    ]
    # Keys and values of 6x6 tiles with 8x8 keys each, in place of 24x24 tokens.
    assert written[0] - written[1] > 2 * (36 * 64 - 24 * 24) * 16 * 4


@pytest.mark.parametrize("format", SUFFIXES)
def test_files_say_what_the_model_says(format, exported, model, tmp_path):
    folder, manifests = exported
    path = folder / f"detector{SUFFIXES[format]}"
    written = json.loads((folder / f"{path.name}.manifest.json").read_text())
    assert written == json.loads(json.dumps(manifests[format]))
    assert written["categories"] == ["a", "b"]
    assert written["threshold"] == model.threshold
    assert written["comparison"][format]["passed"]
    for name, file in written["files"].items():
        assert (folder / name).stat().st_size == file["bytes"]
    images = random_images(5, seed=5)
    square = to_resized_rgb(images, IMAGE_SIZE, "images")
    overflowing = np.full((1, *square.shape[1:]), 3e38, "float32")
    found = run_alone(format, path, [square, overflowing], tmp_path)
    # A score that is no number is never normal.
    assert np.isnan(found["anomaly_score"][-1]) and found["is_anomalous"][-1]
    found = {name: values[:-1] for name, values in found.items()}
    assert_same(found, model.predict(images, verbose=0))
    if format == "litert":
        assert not [name for name in written["operators"] if "Flex" in name]


def test_formats_of_one_name_lie_side_by_side(exported, model):
    folder, _ = exported
    names = [f"detector{suffix}" for suffix in SUFFIXES.values()]
    assert {path.name for path in folder.iterdir()} == {
        *names,
        *(f"{name}.manifest.json" for name in names),
        "detector.bin",
    }
    for format, suffix in SUFFIXES.items():
        with pytest.raises(FileExistsError, match=f"detector{suffix}"):
            model.export(folder / f"detector{suffix}", format=format)


@pytest.mark.parametrize("quantize", ["float16", "dynamic"])
def test_smaller_numbers_make_smaller_files(quantize, exported, model, tmp_path):
    path = tmp_path / "small.tflite"
    small = model.export(path, format="litert", quantize=quantize)
    before = exported[1]["litert"]["files"]["detector.tflite"]["bytes"]
    assert small["files"]["small.tflite"]["bytes"] < before
    assert small["quantize"] == quantize
    images = random_images(1, seed=3)
    square = to_resized_rgb(images, IMAGE_SIZE, "images")
    found = run_alone("litert", path, [square], tmp_path)
    score = model.predict(images, verbose=0)["anomaly_score"]
    assert found["anomaly_score"] == pytest.approx(score, rel=0.05)


def test_an_uncalibrated_model_makes_no_decisions(tmp_path):
    with pytest.warns(UserWarning, match="no threshold, so its export makes no"):
        manifest = tiny_model(**ONE_LEVEL).export(
            tmp_path / "m.tflite", format="litert"
        )
    assert manifest["threshold"] is None and manifest["pixel_threshold"] is None
    assert set(manifest["outputs"]) == {"anomaly_map", "anomaly_score"}


@pytest.mark.parametrize("name", ["new/1", "new/model.tflite"])
def test_what_disagrees_is_not_left_behind(name, small_model, tmp_path, monkeypatch):
    tolerances = {**compare_module.TOLERANCES, None: -1.0}
    monkeypatch.setattr(write_export, "TOLERANCES", tolerances)
    # No difference at all is too much too.
    monkeypatch.setitem(write_export._TOLERANCES_OF_DTYPES, "float32", -1.0)
    format = "litert" if name.endswith("tflite") else "saved_model"
    with pytest.raises(ValueError, match="The export does not agree with the model"):
        small_model.export(tmp_path / name, format=format)
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_that_is_wrong_about_batches_alone_is_found(
    small_model, tmp_path, monkeypatch
):
    runners = litert.litert_runners

    def of_the_first(path):
        run = runners(path)["litert"]

        def run_wrongly(images):
            first = {name: values[:1] for name, values in run(images).items()}
            return {n: np.repeat(v, len(images), 0) for n, v in first.items()}

        return {"litert": run_wrongly}

    monkeypatch.setattr(litert, "litert_runners", of_the_first)
    with pytest.raises(ValueError, match="The export does not agree with the model"):
        small_model.export(tmp_path / "m.tflite", format="litert")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("1", {"format": "torchscript"}, ValueError, "Unknown format 'torchscript'"),
        ("1", {"quantize": "int8"}, ValueError, "`quantize` is for the format"),
        (
            "m.tflite",
            {"format": "litert", "quantize": "int4"},
            ValueError,
            "one of float16, dynamic, int8",
        ),
        (
            "m.tflite",
            {"format": "litert", "quantize": "int8"},
            ValueError,
            "int8 takes the range of every activation from images",
        ),
        ("m.onnx", {"format": "litert"}, ValueError, "name for another format"),
        ("taken/file/1", {}, NotADirectoryError, "is a file, so nothing can be"),
        (
            "1",
            {"images": np.full((2, 8, 8, 3), 0.5, "float32")},
            ValueError,
            "scaled to 0-1",
        ),
        ("m.onnx", {}, ValueError, "name for another format than 'saved_model'"),
        ("taken", {}, FileExistsError, "There is something at"),
        ("1", {"images": []}, ValueError, "There are no images to compare on"),
    ],
)
def test_refuses_before_any_work(name, options, error, message, model, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("a user's own")
    with pytest.raises(error, match=re.escape(message)):
        model.export(tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_an_empty_folder_is_filled(small_model, tmp_path):
    number = tmp_path.stat().st_ino
    small_model.export(tmp_path, format="litert")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.tflite", "manifest.json"}
    assert tmp_path.stat().st_ino == number


@pytest.mark.parametrize(
    ("policy", "least", "most"), [("mixed_bfloat16", 1e-4, 0.1), ("float64", 0, 1e-4)]
)
def test_other_precision_is_exported_in_float32(policy, least, most, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        mixed = tiny_model(**ONE_LEVEL)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.calibrate(random_images(20, seed=4), false_positive_rate=0.3)
    manifest = mixed.export(tmp_path / "m.tflite", format="litert")
    result = manifest["comparison"]["litert"]
    assert least <= result["map_difference"] < most and result["passed"]


def test_int8_measures_on_images_from_all_of_the_data(model, tmp_path, monkeypatch):
    seen = []
    quantizer = litert._in_8_bits

    def spy(portable, float_tensors, images):
        seen.extend(images)
        return quantizer(portable, float_tensors, images)

    monkeypatch.setattr(litert, "_in_8_bits", spy)
    images = random_images(130, seed=3)
    data = [{"image": image, "label": 0} for image in images]
    path = tmp_path / "m.tflite"
    manifest = model.export(path, format="litert", quantize="int8", images=data)
    places = [
        int(np.flatnonzero((images == image).all((1, 2, 3)))[0])
        for image in (np.asarray(square).astype("uint8") for square in seen)
    ]
    assert manifest["comparison"]["litert"]["score_difference"] < 0.3
    assert len(places) == 64 and places[0] == 0 and places[-1] == 129
    assert sum(place >= 65 for place in places) == 32
    tensors = Interpreter(str(path)).get_tensor_details()
    kinds = {t["dtype"] for t in tensors if "/ffn" in t["name"]}
    assert np.int8 in kinds
    kinds = {t["dtype"] for t in tensors if "/anomaly_map" in t["name"]}
    assert np.int8 not in kinds


def test_a_model_without_statistics_is_refused(tmp_path):
    with pytest.raises(ValueError, match="was never trained"):
        tiny_model(standardize_features=True).export(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


def test_differences_are_found():
    expected = {
        "anomaly_map": np.ones((2, 4, 4)),
        "anomaly_score": np.array([1.0, 2.0]),
        "is_anomalous": np.array([False, True]),
    }
    found = {name: value.copy() for name, value in expected.items()}
    assert compare_module.compare(expected, found, 1.5, 1e-4)["passed"]
    found["anomaly_score"] = np.array([1.0, np.nan])
    assert not compare_module.compare(expected, found, 1.5, 1e-4)["passed"]
    found["anomaly_score"] = np.array([1.0, 2.1])
    found["is_anomalous"] = np.array([True, True])
    result = compare_module.compare(expected, found, 1.5, 0.1)
    assert result["score_difference"] == pytest.approx(0.05)
    assert result["decisions_changed_beyond_margin"] == 1 and not result["passed"]
    # A score is held to itself, however much larger another one is.
    expected["anomaly_score"] = np.array([0.1, 2.0])
    found = {**expected, "anomaly_score": np.array([0.100015, 2.0])}
    assert not compare_module.compare(expected, found, 1.5, 1e-4)["passed"]
    # A score of nothing but rounding is no scale: the largest one is.
    expected["anomaly_score"] = np.array([1e-6, 2.0])
    found = {**expected, "anomaly_score": np.array([3e-6, 2.0])}
    assert compare_module.compare(expected, found, 2e-6, 1e-4)["passed"]
    found["anomaly_score"] = np.array([1e-3, 2.0])
    assert not compare_module.compare(expected, found, 1.5, 1e-4)["passed"]


def test_where_maps_go_below_0_it_is_a_score_like_others():
    expected = {
        "anomaly_map": np.linspace(-0.5, 0.2, 32).reshape(2, 4, 4),
        "anomaly_score": np.array([0.004, 0.2]),
        "is_anomalous": np.array([False, True]),
    }
    found = {**expected, "anomaly_score": np.array([0.004003, 0.2])}
    assert compare_module.compare(expected, found, 0.1, 1e-4)["passed"]
    found["anomaly_score"] = np.array([0.0043, 0.2])
    assert not compare_module.compare(expected, found, 0.1, 1e-4)["passed"]


def test_scores_near_a_threshold_may_go_either_way():
    expected = {
        "anomaly_map": np.ones((2, 4, 4)),
        "anomaly_score": np.array([1.0, 2.0]),
        "is_anomalous": np.array([False, True]),
    }
    found = {
        **expected,
        "anomaly_score": np.array([1.0, 2.1]),
        "is_anomalous": np.array([True, True]),
    }
    assert compare_module.compare(expected, found, 1.05, 0.1)["passed"]
