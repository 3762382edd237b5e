"""DRAEM against the same networks and losses in PyTorch, and SciPy."""

import keras
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from keras_rlr import DRAEM
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.training_batches import noise_keys
from keras_rlr.methods.draem.anomalies import AnomalyPainter, texture_source
from keras_rlr.methods.draem.losses import focal_loss, structural_dissimilarity
from keras_rlr.methods.draem.perlin import perlin_mask, perlin_noise
from keras_rlr.methods.draem.textures import paint_texture
from tests import one_program
from tests.tiny_model import IMAGE_SIZE, fit_losses, random_images

IMAGES = random_images(4, seed=5)
KEYS = noise_keys(0, 3, np.arange(16))


def tiny_draem(**overrides):
    settings = {
        "image_size": IMAGE_SIZE,
        "reconstruction_width": 2,
        "segmentation_width": 3,
        "seed": 0,
    }
    return DRAEM(**{**settings, **overrides})


@pytest.fixture(scope="module")
def model():
    """A model with statistics and factors as after training, which need no step."""
    model = tiny_draem(reconstruction_width=4, segmentation_width=5)
    draw = np.random.default_rng(0)
    for layer in model.rebuilding.layers + model.marking.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.weights:
                low = -0.5 if variable.path.endswith(("beta", "moving_mean")) else 0.5
                variable.assign(draw.uniform(low, low + 1, variable.shape))
    return model


class Twin:
    """The two networks in PyTorch, float64, as the paper's figure draws them."""

    def __init__(self, network):
        layers = [layer for layer in network.layers if layer.get_weights()]
        self.weights = [
            [torch.tensor(np.array(w), dtype=torch.float64) for w in weights]
            for layer in sorted(layers, key=self._place)
            for weights in [layer.get_weights()]
        ]

    @staticmethod
    def _place(layer):
        kind, number = layer.name.split("_")
        return int(number), kind  # a convolution, then its normalisation

    def unit(self, x):
        kernel, (gamma, beta, mean, variance) = self.taken[0][0], self.taken[1]
        self.taken = self.taken[2:]
        x = functional.conv2d(x, kernel.permute(3, 2, 0, 1), padding=1)
        if self.training:
            mean = variance = None
        return torch.relu(
            functional.batch_norm(
                x, mean, variance, gamma, beta, self.training, eps=1e-5
            )
        )

    def __call__(self, x, halvings, has_skips, training):
        self.taken, self.training, skips = self.weights, training, []
        for i in range(halvings + 1):
            x = functional.max_pool2d(x, 2) if i else x
            x = self.unit(self.unit(x))
            skips.append(x)
        for skip in skips[-2::-1]:
            x = functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = self.unit(x)
            x = torch.cat([x, skip], 1) if has_skips else x
            x = self.unit(self.unit(x))
        ((kernel, bias),) = self.taken
        return functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=1)


def as_torch(images):
    return torch.tensor(images.astype("float64")).permute(0, 3, 1, 2) / 255


def twin_outputs(model, altered, training):
    """What was rebuilt and the logits."""
    rebuilt = Twin(model.rebuilding)(altered, 4, False, training)
    both = torch.cat([rebuilt, altered], 1)
    return rebuilt, Twin(model.marking)(both, 5, True, training)


def twin_ssim(first, second):
    """SSIM by convolution, image by image."""
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / line.sum() ** 2

    def mean(values):
        return np.stack(
            [
                [ndimage.convolve(c, window, mode="constant") for c in image]
                for image in values
            ]
        )

    a, b = first.numpy(), second.numpy()
    ma, mb = mean(a), mean(b)
    va, vb = mean(a * a) - ma**2, mean(b * b) - mb**2
    cov = mean(a * b) - ma * mb
    c, d = 0.01**2, 0.03**2
    ssim = (2 * ma * mb + c) * (2 * cov + d)
    return ssim / ((ma**2 + mb**2 + c) * (va + vb + d))


def twin_focal(logits, mask):
    target = torch.tensor(mask).long()
    p = functional.softmax(logits, 1).gather(1, target[:, None])[:, 0]
    return (-((1 - p) ** 2) * p.log()).mean((1, 2))


def test_maps_and_scores_are_those_of_a_twin_in_pytorch(model):
    _, logits = twin_outputs(model, as_torch(IMAGES), False)
    maps = functional.softmax(logits, 1)[:, 1]
    pooled = functional.avg_pool2d(maps[:, None], 21, 1, 10)  # as published
    found = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(found["anomaly_map"], maps.numpy(), atol=1e-5)
    scores = pooled.amax((1, 2, 3)).numpy()
    np.testing.assert_allclose(found["anomaly_score"], scores, rtol=1e-4)


def test_the_loss_in_training_is_that_of_a_twin(model):
    altered, masks = AnomalyPainter(1)(IMAGES.astype("float32"), KEYS[:4])
    assert 0 < masks.mean() < 1
    rebuilt, logits = twin_outputs(model, as_torch(altered), True)
    image = as_torch(IMAGES)
    expected = ((image - rebuilt) ** 2).mean((1, 2, 3)) + twin_focal(logits, masks)
    expected = expected.numpy() + 1 - twin_ssim(image, rebuilt).mean((1, 2, 3))
    batch = {"image": IMAGES, "altered": altered, "mask": masks}
    batch = {key: keras.ops.convert_to_tensor(value) for key, value in batch.items()}
    outputs = one_program.call(model, batch, training=True)
    losses = keras.ops.convert_to_numpy(outputs["loss"])
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_the_losses_alone():
    draw = np.random.default_rng(0)
    a, b = draw.random((2, 2, 20, 24, 3)).astype("float32")
    expected = 1 - twin_ssim(
        *(torch.tensor(x).permute(0, 3, 1, 2).double() for x in (a, b))
    ).mean((1, 2, 3))
    found = structural_dissimilarity(*map(keras.ops.convert_to_tensor, (a, b)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-4)
    logits = draw.normal(size=(2, 8, 8, 2), scale=4).astype("float32")
    mask = draw.integers(0, 2, (2, 8, 8)).astype("float32")
    expected = twin_focal(torch.tensor(logits).permute(0, 3, 1, 2), mask)
    found = focal_loss(*map(keras.ops.convert_to_tensor, (logits, mask)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-4)


@pytest.mark.backend_independent
def test_what_is_rebuilt_and_marked_is_learned():
    model = tiny_draem(reconstruction_width=4, segmentation_width=5)
    model.compile(keras.optimizers.Adam(5e-3))
    losses = fit_losses(model, random_images(8), batch_size=4, epochs=10)
    assert losses[-1] < 0.85 * losses[0]


def test_anomalies_are_a_function_of_seed_and_key():
    images = np.full((16, 64, 64, 3), 100, "float32")
    altered, masks = AnomalyPainter(7)(images, KEYS)
    again, _ = AnomalyPainter(7)(images[5:6], KEYS[5:6])
    np.testing.assert_array_equal(altered[5:6], again)
    other, _ = AnomalyPainter(8)(images, KEYS)
    assert not np.array_equal(altered, other)
    np.testing.assert_array_equal(altered[masks == 0], images[masks == 0])
    has = masks.any((1, 2))
    assert 4 <= has.sum() <= 12
    assert 0.0 <= altered.min() <= altered.max() <= 255.0
    assert altered.dtype == masks.dtype == np.float32


def test_textures_may_be_given_and_are_covered_by_opacity():
    textures = np.zeros((3, 20, 30, 3), "uint8")
    painter = AnomalyPainter(0, (0.25, 0.25), texture_source(textures))
    images = np.full((16, 64, 64, 3), 100, "float32")
    altered, masks = painter(images, KEYS)
    # Black, whatever is changed, is one grey: black, white or between.
    for image, mask in zip(altered, masks, strict=True):
        shares = (image[mask > 0] - 75.0) / 0.25
        assert ((shares >= -1e-3) & (shares <= 255.001)).all()


@pytest.mark.parametrize("cells", [(1, 1), (4, 16), (32, 2)])
def test_perlin_noise_is_zero_at_the_lattice_and_smooth(cells):
    noise = perlin_noise((65, 65), cells, np.random.default_rng(0))
    assert noise.dtype == np.float32
    assert np.abs(noise).max() < 1.05
    steps = np.abs(np.diff(noise, axis=0)).max(), np.abs(np.diff(noise, axis=1)).max()
    assert steps[0] < 4 * cells[0] / 65
    assert steps[1] < 4 * cells[1] / 65
    # The middle of the image is a corner of the lattice.
    assert abs(noise[32, 32]) < 1e-6


def test_masks_and_textures_differ():
    draw = np.random.default_rng(0)
    shares = [perlin_mask((64, 64), draw).mean() for _ in range(40)]
    assert 0.02 < np.mean(shares) < 0.3
    textures = [paint_texture((32, 32), draw) for _ in range(20)]
    assert all(t.shape == (32, 32, 3) and t.dtype == np.float32 for t in textures)
    assert all(0 <= t.min() <= t.max() <= 255 for t in textures)
    assert np.std([t.mean() for t in textures]) > 15


def first_batch(model):
    source = ImageSource(random_images(4), 4)
    ((batch,),) = model.training_batches(source, None, None, seed=0).generate()
    return batch


@pytest.mark.backend_independent
def test_the_source_is_said_and_asked_for(tmp_path):
    model = tiny_draem()
    assert model.get_config()["anomaly_source"] == "painted"
    painted = first_batch(model)
    model.take_anomalies_from(random_images(3, 40, 50), "DTD")
    given = first_batch(model)
    assert model.get_config()["anomaly_source"] == "DTD"
    np.testing.assert_array_equal(given["mask"], painted["mask"])
    assert given["mask"].any()
    assert not np.array_equal(given["altered"], painted["altered"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.anomaly_source == "DTD"
    with pytest.raises(ValueError, match=r"take_anomalies_from\(images, 'DTD'\)"):
        loaded.fit(random_images(4), epochs=1, verbose=0)
    loaded.take_anomalies_from(random_images(3, 40, 50), "DTD")
    np.testing.assert_array_equal(first_batch(loaded)["altered"], given["altered"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"image_size": 100}, "96 or 128"),
        ({"image_size": 8}, "multiple of 32"),
        ({"opacity": (0.5, 0.1)}, "lowest, highest"),
        ({"recipe": "short"}, "'default' or 'paper'"),
    ],
)
@pytest.mark.backend_independent
def test_an_impossible_setting_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        tiny_draem(**setting)


@pytest.mark.backend_independent
def test_what_is_no_source_or_no_cache_is_refused():
    model = tiny_draem()
    with pytest.raises(ValueError, match="length and an index"):
        model.take_anomalies_from([], "DTD")
    with pytest.raises(ValueError, match="another name"):
        model.take_anomalies_from(IMAGES, "painted")
    with pytest.raises(ValueError, match="no frozen features"):
        model.fit(IMAGES, epochs=1, feature_cache="memory", verbose=0)


@pytest.mark.backend_independent
def test_recipes():
    assert tiny_draem().recipe.steps == 3000
    assert tiny_draem(recipe="paper").recipe.epochs == 700
    settings = DRAEM.preset_arguments("draem_small")
    assert settings == {"reconstruction_width": 16, "segmentation_width": 16}
