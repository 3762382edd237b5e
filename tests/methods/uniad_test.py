"""UniAD against a twin in PyTorch, and what is its own."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_rlr
from keras_rlr.detectors.compiling import is_of_recipe
from tests import one_program
from tests.golden_weights import assert_close
from tests.layers.counter_hash import naive_perturbation
from tests.tiny_model import IMAGE_SIZE, fit_losses, random_images, tiny_uniad

IMAGES = random_images(4)
KEYS = np.array([[0, 3], [0, 4], [1, 3], [7, 7]], "int32")
HEADS = 2


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def model():
    """With weights that are all random, biases too."""
    model = tiny_uniad(num_decoder_layers=2)
    generator = np.random.default_rng(9)
    for variable in model.trainable_variables:
        variable.assign(generator.normal(0, 0.4, variable.shape))
    return model


class Twin:
    """The published forward pass with the weights of a model, (images, tokens, D)."""

    def __init__(self, torch, model):
        self.torch = torch
        self.transformer = model.transformer
        places = np.indices((4, 4)).reshape(2, -1)
        steps = np.abs(places[:, :, None] - places[:, None]).max(axis=0)
        self.hidden = torch.from_numpy(steps <= 1)  # a neighbourhood of 3x3
        columns, rows = (
            self.tensor(v)
            for v in (self.transformer.position.columns, self.transformer.position.rows)
        )
        row, column = map(torch.from_numpy, places)
        self.position = torch.cat([columns[column], rows[row]], -1)

    def tensor(self, values):
        return self.torch.tensor(np.array(ops.convert_to_numpy(values)))

    def linear(self, dense, tokens):
        return tokens @ self.tensor(dense.kernel) + self.tensor(dense.bias)

    def norm(self, layer, tokens):
        return self.torch.nn.functional.layer_norm(
            tokens, (8,), self.tensor(layer.gamma), self.tensor(layer.beta)
        )

    def attend(self, layer, query, key, value):
        attention = self.torch.nn.MultiheadAttention(8, HEADS, batch_first=True)
        parts = [getattr(layer, f"{n}_projection") for n in ("query", "key", "value")]
        kernels = [self.tensor(part.kernel).T for part in parts]
        attention.in_proj_weight.data = self.torch.cat(kernels)
        attention.in_proj_bias.data = self.torch.cat(
            [self.tensor(p.bias) for p in parts]
        )
        attention.out_proj.weight.data = self.tensor(layer.output_projection.kernel).T
        attention.out_proj.bias.data = self.tensor(layer.output_projection.bias)
        return attention(query, key, value, attn_mask=self.hidden)[0]

    def feed_forward(self, layer, tokens):
        hidden = self.torch.relu(self.linear(layer.ffn_1, tokens))
        return self.norm(layer.ffn_norm, tokens + self.linear(layer.ffn_2, hidden))

    def encode(self, layer, tokens):
        placed = tokens + self.position
        attended = self.attend(layer.self_attention, placed, placed, tokens)
        tokens = self.norm(layer.self_attention_norm, tokens + attended)
        return self.feed_forward(layer, tokens)

    def decode(self, layer, output, memory):
        target = self.tensor(layer.query.reference).expand(len(memory), -1, -1)
        attended = self.attend(
            layer.memory_attention,
            target + self.position,
            memory + self.position,
            memory,
        )
        target = self.norm(layer.memory_attention_norm, target + attended)
        attended = self.attend(
            layer.token_attention,
            target + self.position,
            output + self.position,
            output,
        )
        target = self.norm(layer.token_attention_norm, target + attended)
        return self.feed_forward(layer, target)

    def __call__(self, features):
        tokens = self.torch.tensor(features, dtype=self.torch.float32)
        tokens = self.linear(self.transformer.input_projection, tokens)
        for layer in self.transformer.encoder:
            tokens = self.encode(layer, tokens)
        memory = tokens
        for layer in self.transformer.decoder:
            tokens = self.decode(layer, tokens, memory)
        tokens = self.norm(self.transformer.final_norm, tokens)
        return self.linear(self.transformer.output_projection, tokens).detach().numpy()


def tokens_of(model):
    """Features of both levels in the coarsest grid, (images, 16, 20)."""
    fine, coarse = model.extract_features(IMAGES)
    fine = fine.reshape(4, 4, 2, 4, 2, 8).mean(axis=(2, 4))
    return np.concatenate([fine, coarse], -1).reshape(4, 16, 20)


def test_maps_and_scores_equal_the_twins(torch, model):
    features = tokens_of(model)
    error = np.linalg.norm(Twin(torch, model)(features) - features, axis=-1)
    expected = torch.nn.functional.interpolate(
        torch.tensor(error.reshape(4, 1, 4, 4)),
        size=(IMAGE_SIZE,) * 2,
        mode="bilinear",
        align_corners=True,
    )
    outputs = model.predict(IMAGES, verbose=0)
    assert_close(outputs["anomaly_map"], expected[:, 0].numpy(), 1e-4)
    score = keras_rlr.layers.AnomalyScore()(outputs["anomaly_map"])
    assert_close(outputs["anomaly_score"], ops.convert_to_numpy(score), 1e-4)


def test_the_loss_equals_the_twins(torch, model):
    features = tokens_of(model)
    visible = naive_perturbation(
        features.reshape(4, 4, 4, 20), KEYS, model.perturbation.seed, 20.0, 1.0
    )
    rebuilt = Twin(torch, model)(visible.reshape(4, 16, 20))
    expected = np.square(rebuilt - features).mean(axis=(1, 2))
    batch = {"image": IMAGES, "noise_key": KEYS}
    outputs = one_program.call(model, batch, training=True)
    assert set(outputs) == {"loss"}
    assert_close(outputs["loss"], expected, 1e-4)


def test_a_token_of_a_layer_does_not_see_its_neighbourhood(model):
    """Of the decoder: the encoder has a residual."""
    layer = model.transformer.decoder[0]
    generator = np.random.default_rng(0)
    tokens = generator.normal(size=(1, 4, 4, 8)).astype("float32")
    changed = tokens.copy()
    changed[0, 1, 1] += 5
    position = np.zeros((1, 4, 4, 8), "float32")
    before, after = (
        ops.convert_to_numpy(layer(x, x, position)) for x in (tokens, changed)
    )
    moved = np.abs(after - before).max(axis=-1)[0] > 1e-6
    expected = np.ones((4, 4), bool)
    expected[:3, :3] = False
    np.testing.assert_array_equal(moved, expected)


def test_a_few_steps_lower_the_loss_and_the_last_are_small():
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    model = tiny_uniad(standardize_features=True, noise_scale=4.0)
    model.optimizer.learning_rate = 5e-3
    losses = fit_losses(model, IMAGES, batch_size=4, epochs=10, callbacks=[Rates()])
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_allclose(rates, [5e-3] * 8 + [5e-4] * 2, rtol=1e-6)
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-3)


def test_a_rate_of_the_users_own_optimizer_is_left_alone():
    recipe = tiny_uniad().recipe
    own = recipe.optimizer()
    own.learning_rate = 1e-3
    assert is_of_recipe(own, recipe)
    assert is_of_recipe(keras.optimizers.LossScaleOptimizer(own), recipe)
    decay = keras.optimizers.schedules.CosineDecay(1e-3, 10)
    for other in (
        keras.optimizers.Adam(1e-4, epsilon=1e-8, name="adamw"),
        type(own).from_config({**own.get_config(), "beta_2": 0.9}),
        type(own).from_config({**own.get_config(), "learning_rate": decay}),
    ):
        assert not is_of_recipe(other, recipe)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden_dim": 9}, "must be even .* Received: hidden_dim=9, num_heads=2"),
        ({"num_heads": 3}, "hidden_dim=8, num_heads=3"),
        ({"window": 4}, "`window` must be odd"),
        ({"window": 7}, "7x7 tokens hides the whole 4x4 grid .* smaller `window`"),
        ({"recipe": "quick"}, r"'quick'.*\(AdamW 0.0001, batches of 64, 1000 epochs"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        tiny_uniad(**setting)


def test_recipes():
    paper = tiny_uniad(recipe="paper", standardize_features=True)
    assert (paper.recipe.epochs, paper.recipe.batch_size) == (1000, 64)
    assert isinstance(paper.optimizer, keras.optimizers.AdamW)
    assert paper.optimizer.weight_decay == 1e-4
    assert tiny_uniad().recipe == paper.recipe
