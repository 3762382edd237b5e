"""Vision transformers in the layout of Hugging Face, from a folder and an address."""

import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones import create_backbone
from keras_rlr.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD
from tests.golden_weights import assert_close

keras_hub = pytest.importorskip("keras_hub")
numpy_safetensors = pytest.importorskip("safetensors.numpy")

WIDTH, HIDDEN, BLOCKS = 16, 32, 2
DINOV2 = {
    "model_type": "dinov2",
    "architectures": ["Dinov2Model"],
    "image_size": 56,
    "patch_size": 14,
    "num_hidden_layers": BLOCKS,
    "hidden_size": WIDTH,
    "num_attention_heads": 2,
    "mlp_ratio": HIDDEN / WIDTH,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
    "use_mask_token": False,
    "hidden_dropout_prob": 0.0,
    "drop_path_rate": 0.0,
}
DINOV3 = {
    "model_type": "dinov3_vit",
    "architectures": ["DINOv3ViTModel"],
    "image_size": 64,
    "patch_size": 16,
    "num_hidden_layers": BLOCKS,
    "hidden_size": WIDTH,
    "num_attention_heads": 2,
    "intermediate_size": HIDDEN,
    "layerscale_value": 1.0,
    "num_register_tokens": 4,
    "hidden_act": "gelu",
    "use_gated_mlp": False,
    "query_bias": True,
    "key_bias": False,
    "value_bias": True,
    "proj_bias": True,
    "mlp_bias": True,
    "attention_dropout": 0.0,
    "drop_path_rate": 0.0,
    "layer_norm_eps": 1e-5,
    "rope_theta": 100.0,
}
OWN = {
    "image_mean": [0.43, 0.411, 0.296],
    "image_std": [0.213, 0.156, 0.143],
    "rescale_factor": 1 / 255,
}


def block(prefix, names):
    """Shapes of one block's tensors, by their names in a file of PyTorch."""
    query, key, value, out, up, down, norms, scales = names
    shapes = {f"{prefix}.{norm}.{end}": (WIDTH,) for norm in norms for end in BIASED}
    shapes.update({f"{prefix}.{scale}.lambda1": (WIDTH,) for scale in scales})
    for linear in (query, key, value, out):
        shapes[f"{prefix}.{linear}.weight"] = (WIDTH, WIDTH)
        shapes[f"{prefix}.{linear}.bias"] = (WIDTH,)
    shapes.update({f"{prefix}.{up}.weight": (HIDDEN, WIDTH)})
    shapes.update({f"{prefix}.{up}.bias": (HIDDEN,)})
    shapes.update({f"{prefix}.{down}.weight": (WIDTH, HIDDEN)})
    shapes.update({f"{prefix}.{down}.bias": (WIDTH,)})
    return shapes


BIASED = ("weight", "bias")
REST = (("norm1", "norm2"), ("layer_scale1", "layer_scale2"))


def dinov2_shapes():
    inner = "attention.attention"
    names = [f"{inner}.{part}" for part in ("query", "key", "value")]
    names += ["attention.output.dense", "mlp.fc1", "mlp.fc2", *REST]
    shapes = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.position_embeddings": (1, 17, WIDTH),
        "embeddings.patch_embeddings.projection.weight": (WIDTH, 3, 14, 14),
        "embeddings.patch_embeddings.projection.bias": (WIDTH,),
        **{f"layernorm.{end}": (WIDTH,) for end in BIASED},
    }
    for number in range(BLOCKS):
        shapes.update(block(f"encoder.layer.{number}", names))
    return shapes


def dinov3_shapes():
    names = [f"attention.{part}_proj" for part in ("q", "k", "v", "o")]
    names += ["mlp.up_proj", "mlp.down_proj", *REST]
    shapes = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.mask_token": (1, 1, WIDTH),
        "embeddings.register_tokens": (1, 4, WIDTH),
        "embeddings.patch_embeddings.weight": (WIDTH, 3, 16, 16),
        "embeddings.patch_embeddings.bias": (WIDTH,),
        **{f"norm.{end}": (WIDTH,) for end in BIASED},
    }
    for number in range(BLOCKS):
        shapes.update(block(f"layer.{number}", names))
    del shapes["layer.0.attention.k_proj.bias"], shapes["layer.1.attention.k_proj.bias"]
    return shapes


def write_folder(folder, config, shapes, normalization=OWN):
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    tensors = {
        name: random.normal(0, 0.3, shape).astype("float32")
        for name, shape in shapes.items()
    }
    numpy_safetensors.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    if normalization is not None:
        text = normalization if isinstance(normalization, str) else json.dumps(OWN)
        (folder / "preprocessor_config.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    "config, shapes, side",
    [(DINOV2, dinov2_shapes, 56), (DINOV3, dinov3_shapes, 64)],
    ids=["dinov2", "dinov3"],
)
def test_a_folder_has_its_weights_and_its_normalization(config, shapes, side, tmp_path):
    folder = write_folder(tmp_path / "vit", config, shapes())
    backbone = create_backbone(str(folder), levels=(1, 2), image_size=side)
    np.testing.assert_allclose(backbone.mean, 255 * np.array(OWN["image_mean"]))
    np.testing.assert_allclose(backbone.std, 255 * np.array(OWN["image_std"]))

    hub = keras_hub.models.Backbone.from_preset(str(folder))
    expected = create_backbone(hub, levels=(1, 2), image_size=side)
    images = np.random.default_rng(1).normal(size=(2, side, side, 3)).astype("float32")
    for own, theirs in zip(backbone.model(images), expected.model(images), strict=True):
        assert_close(own, ops.convert_to_numpy(theirs), 1e-6)


@pytest.mark.backend_independent
def test_a_folder_that_does_not_say_how_is_announced(tmp_path):
    folder = write_folder(tmp_path / "vit", DINOV2, dinov2_shapes(), None)
    with pytest.warns(UserWarning, match="has no preprocessor_config.json.*ImageNet"):
        backbone = create_backbone(str(folder), levels=(1,), image_size=56)
    assert (backbone.mean, backbone.std) == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.backend_independent
def test_a_network_whose_images_are_only_rescaled(tmp_path):
    text = '{"do_normalize": false, "rescale_factor": 0.01, "image_mean": [1, 1, 1]}'
    folder = write_folder(tmp_path / "vit", DINOV2, dinov2_shapes(), text)
    backbone = create_backbone(str(folder), levels=(1,), image_size=56)
    assert (backbone.mean, backbone.std) == ((0, 0, 0), (100, 100, 100))


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"image_std": [0, 1, 1]}',
        '{"image_mean": [1, 2]}',
        '{"image_mean": "red"}',
        '{"rescale_factor": 0}',
        '{"image_mean": [NaN, 0, 0]}',
    ],
)
def test_a_normalization_that_is_none_is_refused(text, tmp_path):
    folder = write_folder(tmp_path / "vit", DINOV2, dinov2_shapes(), text)
    with pytest.raises(ValueError, match="preprocessor_config.json of .* is not one"):
        create_backbone(str(folder), levels=(1,), image_size=56)


class _Hub(http.server.BaseHTTPRequestHandler):
    """Serves /OWNER/NAME/resolve/main/FILE as Hugging Face does, from a folder."""

    folder: Path

    def do_HEAD(self):
        self.answer(with_content=False)

    def do_GET(self):
        self.answer(with_content=True)

    def answer(self, with_content):
        path = urllib.parse.urlparse(self.path).path
        _, _, name = path.partition("/team/vit/resolve/main/")
        file = self.folder / name
        if not name or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.mark.backend_independent
def test_an_address_is_downloaded(tmp_path):
    handler = type("_OneHub", (_Hub,), {"folder": tmp_path / "vit"})
    write_folder(handler.folder, DINOV2, dinov2_shapes())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = (
        "from keras_rlr.backbones import create_backbone\n"
        "backbone = create_backbone('hf://team/vit', levels=(2,), image_size=56)\n"
        "print(backbone.name, [value / 255 for value in backbone.mean])\n"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    try:
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[:2] == ["vit", "[0.43,"], run.stdout
