"""MKD against the same networks and losses written in PyTorch, and SciPy's filters."""

import keras
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from keras_rlr import MKD
from keras_rlr.methods.mkd import _student
from tests import one_program
from tests.tiny_model import IMAGE_SIZE, fit_losses, random_images, tiny_backbone

IMAGES = random_images(3, seed=5)


def tiny_mkd(**overrides):
    settings = {
        "backbone": tiny_backbone(),
        "levels": (1, 2),
        "image_size": IMAGE_SIZE,
        "student_width": 4,
        "seed": 0,
    }
    return MKD(**{**settings, **overrides})


@pytest.fixture(scope="module", params=(False, True), ids=("raw", "standardised"))
def model(request):
    model = tiny_mkd(standardize_features=request.param, cosine_weight=0.7)
    model.fit(random_images(8), batch_size=4, epochs=2, verbose=0)
    return model


class Twin:
    """The same in PyTorch: float64, weights by name."""

    def __init__(self, model):
        self.model = model
        self.teacher = self._weights(model.feature_extractor.backbone)
        self.student = self._weights(model.student)

    @staticmethod
    def _weights(network):
        return {
            layer.name: [torch.tensor(np.array(w), dtype=torch.float64) for w in ws]
            for layer in network._flatten_layers(include_self=False, recursive=True)
            if not list(layer._flatten_layers(include_self=False))
            and (ws := layer.get_weights())
        }

    @staticmethod
    def _convolve(x, weights, **options):
        kernel, bias = weights
        return functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, **options)

    def teacher_maps(self, pixels):
        (norm,) = (w for w in self.teacher.values() if len(w) == 4)
        layers = (w for w in self.teacher.values() if len(w) == 2)
        first, second = sorted(layers, key=lambda w: w[0].shape[2])
        x = functional.pad(pixels / 127.5 - 1, (0, 1, 0, 1))
        x = self._convolve(x, first, stride=4)
        gamma, beta, mean, variance = (w[:, None, None] for w in norm)
        fine = torch.relu((x - mean) / torch.sqrt(variance + 1e-3) * gamma + beta)
        coarse = self._convolve(functional.pad(fine, (0, 1, 0, 1)), second, stride=2)
        maps = []
        for x, layer in zip((fine, coarse), self.model.standardizations, strict=True):
            x = functional.avg_pool2d(x, 3, 1, 1)
            mean, variance = self.moments(layer)
            if self.model.standardize_features:
                x = (x - mean) / torch.sqrt(variance + 1e-6)
            maps.append(x)
        return maps

    @staticmethod
    def moments(layer):
        values = (np.array(w)[:, None, None] for w in layer.get_weights()[:2])
        return tuple(torch.tensor(value, dtype=torch.float64) for value in values)

    def student_maps(self, x):
        maps = []
        for stage in range(4):
            x = functional.avg_pool2d(x, 2) if stage else x
            for i in range(2):
                weights = self.student[f"stage_{stage}_{i}"]
                x = torch.relu(self._convolve(x, weights, padding=1))
            if stage >= 2:
                maps.append(
                    self._convolve(x, self.student[f"level_{stage - 2}"], padding=1)
                )
                x = torch.relu(maps[-1])
        return maps

    def losses(self, pixels):
        total = 0.0
        pairs = zip(
            self.teacher_maps(pixels),
            self.student_maps(pixels),
            self.model.standardizations,
            strict=True,
        )
        for teacher, student, layer in pairs:
            mean, variance = self.moments(layer)
            size = variance + mean**2
            if self.model.standardize_features:
                size = variance / (variance + 1e-6)
            cosine = functional.cosine_similarity(
                teacher.flatten(1), student.flatten(1)
            )
            total = total + ((teacher - student) ** 2).mean((1, 2, 3))
            total = total + self.model.cosine_weight * size.mean() * (1 - cosine)
        return total

    def outputs(self, images):
        """Losses and maps."""
        scaler = self.model.preprocessor
        pixels = (images.astype("float64") - scaler.mean) / scaler.std
        pixels = torch.tensor(pixels).permute(0, 3, 1, 2).requires_grad_(True)
        losses = self.losses(pixels)
        losses.sum().backward()
        maps = pixels.grad.abs().sum(1).numpy() * IMAGE_SIZE**2
        disk = ndimage.generate_binary_structure(2, 1)
        maps = [
            ndimage.grey_opening(ndimage.gaussian_filter(m, 4.0), footprint=disk)
            for m in maps
        ]
        return losses.detach().numpy(), np.stack(maps)


def test_losses_and_gradients_are_those_of_a_twin_in_pytorch(model):
    losses, maps = Twin(model).outputs(IMAGES)
    found = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(found["anomaly_score"], losses, rtol=1e-4)
    scale = np.abs(maps).max()
    np.testing.assert_allclose(found["anomaly_map"], maps, rtol=0, atol=1e-4 * scale)
    batch = {"image": IMAGES.astype("float32")}
    outputs = one_program.call(model, batch, training=True)
    trained = keras.ops.convert_to_numpy(outputs["loss"])
    np.testing.assert_allclose(trained, losses, rtol=1e-4)


def test_the_map_of_errors_is_the_mean_square_of_tokens():
    model = tiny_mkd(localization="error", standardize_features=True)
    model.fit(random_images(8), batch_size=4, epochs=1, verbose=0)
    twin = Twin(model)
    scaler = model.preprocessor
    pixels = (IMAGES.astype("float64") - scaler.mean) / scaler.std
    pixels = torch.tensor(pixels).permute(0, 3, 1, 2)
    expected = 0.0
    maps = zip(twin.teacher_maps(pixels), twin.student_maps(pixels), strict=True)
    for teacher, student in maps:
        error = ((teacher - student) ** 2).mean(1, keepdim=True)
        expected = expected + functional.interpolate(
            error, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=True
        )
    found = model.predict(IMAGES, verbose=0)["anomaly_map"]
    np.testing.assert_allclose(found, expected[:, 0].numpy() / 2, rtol=1e-4, atol=1e-5)


def test_the_teacher_stays_and_the_student_learns():
    model = tiny_mkd(standardize_features=True)
    model.compile(keras.optimizers.Adam(3e-3))
    teacher = [np.array(w) for w in model.feature_extractor.get_weights()]
    losses = fit_losses(model, random_images(8), batch_size=4, epochs=12)
    assert losses[-1] < 0.8 * losses[0]
    for before, after in zip(
        teacher, model.feature_extractor.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(before, after)
    assert len(model.trainable_variables) == len(model.student.trainable_variables)


def test_grids_that_no_halving_gives_are_resampled():
    shapes = [(9, 9, 8), (5, 5, 4)]  # halved three times, 36 is 4
    student = _student((36, 36), shapes, width=4, seed=0, dtype="float32")
    assert [tuple(output.shape[1:]) for output in student.outputs] == shapes


def test_it_says_what_a_format_can_not_hold(model):
    assert model.exportable("saved_model") == (model, [])
    for name in ("litert", "onnx", "openvino"):
        other, (sentence,) = model.exportable(name)
        assert name in sentence
        assert "localization='error'" in sentence
        assert other.localization == "error"
        assert other.exportable(name) == (other, [])
    np.testing.assert_allclose(
        other.predict(IMAGES, verbose=0)["anomaly_score"],
        model.predict(IMAGES, verbose=0)["anomaly_score"],
        rtol=1e-5,
    )


@pytest.mark.backend_independent
def test_thresholds_of_its_map_are_of_no_other_map():
    model = tiny_mkd(tiles=(17, 1))
    images = random_images(8)
    model.adapt(images)
    model.calibrate([{"image": i, "category": "a"} for i in images], 0.2)
    assert model.pixel_threshold is not None and model.known_categories == ("a",)
    other, sentences = model.exportable("litert")
    assert other.pixel_threshold is None and model.pixel_threshold is not None
    assert other.threshold == model.threshold and other.known_categories == ()
    assert "Scores and decisions are the same" in sentences[-1]
    model = tiny_mkd(region_of_interest=(0, 0, 0.5, 1))
    _, (sentence,) = model.exportable("litert")
    assert "where the peak lies outside of it they differ" in sentence


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="other backends export in a process on TensorFlow, tested in tests/export",
)
def test_a_saved_model_holds_the_gradient_and_others_say_that_they_do_not(tmp_path):
    model = tiny_mkd()
    model.fit(random_images(8), batch_size=4, epochs=1, verbose=0)
    manifest = model.export(tmp_path / "1")
    assert manifest["departures"] == []
    assert manifest["model"]["localization"] == "gradient"
    with pytest.warns(UserWarning, match="holds no gradient"):
        manifest = model.export(tmp_path / "model.tflite", format="litert")
    (sentence,) = manifest["departures"]
    assert "Scores and decisions are the same" in sentence
    assert manifest["model"]["localization"] == "error"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"localization": "heatmap"}, "'gradient' or 'error'"),
        ({"recipe": "short"}, "'default' or 'paper'"),
    ],
)
@pytest.mark.backend_independent
def test_an_impossible_setting_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        tiny_mkd(**setting)


@pytest.mark.backend_independent
def test_a_cache_of_features_is_refused():
    with pytest.raises(ValueError, match="looks at the images themselves"):
        tiny_mkd().fit(random_images(4), epochs=1, feature_cache="memory", verbose=0)


@pytest.mark.backend_independent
def test_recipes():
    assert tiny_mkd(standardize_features=True).recipe.steps == 1500
    assert tiny_mkd().recipe.epochs == 500
    paper = tiny_mkd(recipe="paper", standardize_features=True)
    assert paper.recipe.epochs == 500
    assert paper.get_config()["recipe"] == "paper"
