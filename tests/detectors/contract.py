"""What any detector must do, whatever its method; see `check_detector`.

A check takes a function that makes a small, untrained detector of `IMAGE_SHAPE` pixels
on `tiny_backbone`, and a trained and calibrated one; `twin` is what `twin_of` gives: a
second one that may be trained further, because each new one is compiled anew; `clone`
what `clone_of` gives, whose weights may be set. It asserts, and returns nothing.
"""

import json

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_rlr.detectors.one_pass_detector import OnePassDetector
from keras_rlr.evaluation import evaluate_model
from tests import one_program
from tests.products import COLOURS, elements_of, strange_images
from tests.tiny_model import IMAGE_SIZE, random_images

# Not a square, so that nothing takes the height for the width.
IMAGE_SHAPE = (IMAGE_SIZE, 2 * IMAGE_SIZE)
NORMAL = random_images(8, *IMAGE_SHAPE)
# In batches of as many images as are tested: a size is compiled once a model.
HELD = random_images(15, *IMAGE_SHAPE, seed=1)
TESTED = random_images(5, *IMAGE_SHAPE, seed=2)


def trained(make):
    """A detector of two categories, trained for a step or two and calibrated."""
    detector = make()
    detector.fit(_elements(NORMAL), batch_size=4, epochs=1, verbose=0)
    detector.calibrate(_elements(HELD), false_positive_rate=0.2, batch_size=5)
    return detector


def twin_of(make):
    """A second detector like `trained`, its scores and its threshold before more."""
    twin = trained(make)
    return twin, _scores(twin), twin.threshold


def clone_of(detector):
    """One of the same configuration, and the weights that it began with."""
    clone = type(detector).from_config(detector.get_config())
    return clone, [np.array(weight) for weight in clone.get_weights()]


def _elements(images):
    names = ("bolt", "nut")
    return [{"image": x, "category": names[i % 2]} for i, x in enumerate(images)]


def _scores(detector, data=TESTED, **options):
    return detector.predict(data, verbose=0, **options)["anomaly_score"]


def _as_json(config):
    return json.dumps(keras.saving.serialize_keras_object(config))


def _agree(first, second, tolerance=1e-4):
    np.testing.assert_allclose(first, second, rtol=tolerance, atol=tolerance)


def check_outputs(make, detector):
    """Maps and scores, float32, whatever the number of images."""
    for count in (1, 3):
        outputs = one_program.call(detector, TESTED[:count])
        shapes = {name: tuple(value.shape) for name, value in outputs.items()}
        assert shapes == {
            "anomaly_map": (count, *IMAGE_SHAPE),
            "anomaly_score": (count,),
        }
        kinds = {keras.backend.standardize_dtype(v.dtype) for v in outputs.values()}
        assert kinds == {"float32"}
    outputs = detector.predict(TESTED, verbose=0)
    assert set(outputs) == {"anomaly_map", "anomaly_score", "is_anomalous"}
    assert np.isfinite(outputs["anomaly_map"]).all()
    assert outputs["is_anomalous"].dtype == bool


def check_config(make, detector):
    """Both ways to build it anew give an equal configuration, and JSON holds it."""
    config = detector.get_config()
    text = _as_json(config)
    for other in (type(detector).from_config(config), type(detector)(**config)):
        # Else Keras calls the model op by op on JAX before each `predict`.
        assert all(layer.built for layer in other._flatten_layers())
        assert _as_json(other.get_config()) == text
        assert other.threshold is None


def check_files(make, detector, folder, clone):
    """A saved model says the same, its thresholds too; so does a file of weights."""
    expected = detector.predict(TESTED, verbose=0)
    detector.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    assert type(loaded) is type(detector)
    found = loaded.predict(TESTED, verbose=0)
    for name, values in expected.items():
        _agree(found[name], values, 1e-5)
    assert loaded.thresholds.by_category == detector.thresholds.by_category != {}
    assert loaded.trained_categories == ("bolt", "nut")
    detector.save_weights(folder / "model.weights.h5")
    fresh, weights = clone
    fresh.set_weights(weights)
    assert fresh.threshold is None
    fresh.load_weights(folder / "model.weights.h5")
    _agree(_scores(fresh), expected["anomaly_score"], 1e-5)
    assert fresh.thresholds.by_category == detector.thresholds.by_category
    assert fresh.threshold == detector.threshold


def check_thresholds_belong_to_weights(make, detector, twin, clone):
    """What changes the weights takes the thresholds away, or brings its own."""
    clone, other = clone
    clone.set_weights(other)
    assert clone.threshold is None
    clone.set_weights(detector.get_weights())
    assert clone.threshold == detector.threshold
    assert clone.thresholds.by_category == {}
    _agree(_scores(clone), _scores(detector), 1e-5)
    clone.thresholds.copy_from(detector.thresholds)
    clone.set_weights(other)
    assert clone.threshold is None
    assert clone.thresholds.by_category == {}
    other, *_ = twin
    other.thresholds.copy_from(detector.thresholds)
    assert other.threshold is not None
    if isinstance(detector, OnePassDetector):
        other.fit(NORMAL, verbose=0)
    else:
        other.train_on_batch(NORMAL[:4])
    assert other.threshold is None


def check_loaders(make, detector):
    """Every kind of data gives what an array of the same images gives."""
    images = np.concatenate([TESTED, HELD[:3]])
    size = len(TESTED)
    expected = _scores(detector, images, batch_size=size)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return images[size * index : size * (index + 1)]

    tf = pytest.importorskip("tensorflow")
    torch = pytest.importorskip("torch")
    dataset = tf.data.Dataset.from_tensor_slices(images)
    for data in (
        list(images),
        {"image": list(images)},
        [{"image": image} for image in images],
        dataset,
        dataset.batch(size),
        Batches(),
        torch.utils.data.DataLoader(torch.from_numpy(images), batch_size=size),
    ):
        _agree(_scores(detector, data, batch_size=size), expected)
    sizes = [random_images(1, 40, 50)[0], *TESTED[:4]]
    maps = detector.predict(sizes, verbose=0, original_size=True)["anomaly_map"]
    assert [m.shape for m in maps] == [(40, 50)] + [IMAGE_SHAPE] * 4
    _agree(_scores(detector, sizes)[1:], expected[:4])


def check_batches(make, detector, twin):
    """What Keras does with one batch, it does."""
    outputs = detector.predict_on_batch(TESTED)
    _agree(outputs["anomaly_score"], _scores(detector))
    assert outputs["is_anomalous"].shape == (5,)
    results = detector.test_on_batch(TESTED, [0, 1, 0, 1, 1], return_dict=True)
    assert "loss" in results
    assert "image_auroc" in results
    if isinstance(detector, OnePassDetector):
        with pytest.raises(ValueError, match="one pass"):
            detector.train_on_batch(NORMAL[:4])
        return
    other, *_ = twin
    before = [np.array(v) for v in other.get_weights()]
    assert np.isfinite(other.train_on_batch(NORMAL[:4]))
    after = other.get_weights()
    assert any(not np.array_equal(b, a) for b, a in zip(before, after, strict=True))


def check_evaluate(make, detector):
    """The figures are those of scikit-learn for the scores that it predicts."""
    labels = np.array([0, 1, 0, 1, 1])
    masks = np.zeros((5, *IMAGE_SHAPE), bool)
    masks[labels > 0, 4:12, 4:12] = True
    data = {"image": TESTED, "label": labels, "mask": masks}
    results = detector.evaluate(data, verbose=0, return_dict=True)
    outputs = detector.predict(TESTED, verbose=0)
    _agree(results["image_auroc"], roc_auc_score(labels, outputs["anomaly_score"]))
    pixels = roc_auc_score(masks.reshape(-1), outputs["anomaly_map"].reshape(-1))
    _agree(results["pixel_auroc"], pixels)
    # All seven are those of the other evaluator, of data sets with categories.
    elements = [
        {"image": image, "label": int(label), "mask": mask, "category": "part"}
        for image, label, mask in zip(TESTED, labels, masks, strict=True)
    ]
    by_category = evaluate_model(detector, elements)
    assert {*by_category["pooled"], "loss"} == {*results}
    for name, value in by_category["pooled"].items():
        _agree(results[name], value)


def check_seed(make, detector, twin):
    """One seed gives the same detector, trained on the same images."""
    _, scores, threshold = twin
    np.testing.assert_array_equal(scores, _scores(detector))
    assert threshold == detector.threshold


def check_mixed_precision(make, detector):
    """In 16 bits it says about the same, in float32, and is saved and loaded."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        config = detector.config_in("mixed_bfloat16")
        mixed = type(detector).from_config(config)
        mixed.set_weights(detector.get_weights())
    finally:
        keras.config.set_dtype_policy(policy)
    found = mixed.predict(TESTED, verbose=0)
    assert found["anomaly_score"].dtype == np.float32
    _agree(found["anomaly_score"], _scores(detector), 0.1)


def check_refusals(make, detector, twin):
    """What can't be meant is refused before any work, in words, and undoes nothing."""
    fresh, *_ = twin
    fresh.calibrate(HELD, false_positive_rate=0.2, batch_size=5)
    threshold, scores = fresh.threshold, _scores(fresh)
    for data, message in (
        # Refused in the first batch; after a step there are other weights.
        ((NORMAL, [1] * 8), "anomal"),
        (NORMAL / 255.0, "0-1|scaled"),
        (NORMAL[0], "batch axis"),
        ([], "no images"),
        (["image.png"], "read_image"),
    ):
        with pytest.raises(ValueError, match=message):
            fresh.fit(data, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="class_weight"):
        fresh.fit(NORMAL, epochs=1, verbose=0, class_weight={0: 2.0})
    for size in (0, -1, 2.5, "2", True):
        with pytest.raises(ValueError, match="`batch_size`"):
            fresh.fit(NORMAL, epochs=1, verbose=0, batch_size=size)
        with pytest.raises(ValueError, match="`batch_size`"):
            fresh.predict(TESTED, verbose=0, batch_size=size)
    for epochs in (0, -1, 1.5, "1", True):
        with pytest.raises(ValueError, match="`epochs`"):
            fresh.fit(NORMAL, epochs=epochs, verbose=0)
    for argument in ({"loss": "mse"}, {"metrics": ["accuracy"]}):
        with pytest.raises(ValueError, match=f"no `{next(iter(argument))}`"):
            fresh.compile("adam", **argument)
    for validation in ({"validation_batch_size": 0}, {"validation_steps": 0}):
        with pytest.raises(ValueError, match="`batch_size`|`validation_steps`"):
            fresh.fit(NORMAL, epochs=1, verbose=0, validation_data=HELD, **validation)
    assert fresh.threshold == threshold
    _agree(_scores(fresh), scores, 0)


def check_summary(make, detector):
    """Keras' table of layers is printed, with the number of trainable parameters."""
    lines = []
    detector.summary(print_fn=lines.append)
    trained = sum(np.prod(weight.shape) for weight in detector.trainable_weights)
    assert f"{int(trained):,}" in "".join(lines)


def check_products(make, detector, twin):
    """Calibrated on products, it says which of them an image shows, or none."""
    other, *_ = twin
    counts = dict.fromkeys(COLOURS, 10)
    held = elements_of(counts, seed=20)
    other.calibrate(held, false_positive_rate=0.1, batch_size=len(TESTED))
    tested = elements_of(counts, seed=50, with_category=False)
    strange = [*strange_images(len(TESTED))]
    outputs = other.predict([*tested, *strange], batch_size=len(TESTED), verbose=0)
    names = np.array([*other.known_categories, None], object)[outputs["category"]]
    shown = [element["category"] for element in held]
    assert names.tolist() == [*shown, *[None] * len(strange)]
    if keras.backend.backend() == "jax":
        return  # Operation by operation it takes 20 seconds.
    other.region_of_interest = {"nut": (0, 0, 0.5, 1)}
    images = np.stack([tested[i]["image"] for i in (0, 10)]).astype("float32")
    maps = keras.ops.convert_to_numpy(other(images)["anomaly_map"])
    other.region_of_interest = None
    bolt, nut = np.ptp(maps[:, :, maps.shape[2] // 2 :], axis=(1, 2))
    assert nut == 0 < bolt


CHECKS = (
    check_outputs,
    check_config,
    check_files,
    check_thresholds_belong_to_weights,
    check_loaders,
    check_batches,
    check_evaluate,
    check_seed,
    check_mixed_precision,
    check_refusals,
    check_summary,
    check_products,
)


def check_export(make, detector, folder):
    """A file for small machines says what the model says; on TensorFlow."""
    manifest = detector.export(folder / "model.tflite", format="litert")
    assert all(result["passed"] for result in manifest["comparison"].values())
