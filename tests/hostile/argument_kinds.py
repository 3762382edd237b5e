"""Arguments that no command can do anything sensible with.

Each entry is a command's words; `{data}`, `{model}`, `{image}` and `{out}` stand for a
small data set, a model, an image and a place where nothing is yet.
"""

TRAIN = (
    "train --data {data} --output {out} --backbone efficientnet_lite2 --epochs 1 "
    "--image-size 64 --levels 3"
)
EVALUATE = "evaluate --data {data} --output {out}"
PREDICT = "predict {image} --output {out}"
EXPORT = "export --output {out}"

NOT_NUMBERS = ("", " ", "x", "1e", "0x10", "1_", "--", "٣²", "1,5", "9" * 5000)
NOT_FINITE = ("nan", "inf", "-inf", "1e999")

_WHOLE = ("--epochs", "--batch-size", "--image-size", "--seed", "--distribution")
_FLOATS = ("--learning-rate", "--noise-scale", "--calibration-fraction")


def _cases():
    for option in _WHOLE:
        for value in (*NOT_NUMBERS, *NOT_FINITE, "-1", "0.5", "1" + "0" * 30):
            yield TRAIN, option, value
    for option in ("--epochs", "--batch-size", "--image-size", "--distribution"):
        yield TRAIN, option, "0"
    for value in ("1000000", "0x64", "64x", "64x0", "64x64x64", "99999x64", "-1x64"):
        yield TRAIN, "--image-size", value
    for value in ("", "2", "0x1", "1x", "x", "-1x2", "99999x99999", "axb", "1.5x2"):
        yield TRAIN, "--tiles", value
    yield TRAIN, "--distribution", "4097"
    for option in (*_FLOATS, "--coreset-ratio"):
        for value in (*NOT_NUMBERS, *NOT_FINITE, "-1", "-0.001"):
            yield TRAIN, option, value
    yield TRAIN, "--learning-rate", "0"
    yield TRAIN, "--calibration-fraction", "1"
    yield TRAIN, "--coreset-ratio", "1.5"
    for option in ("--levels", "--hidden-dims"):
        for value in ("", ",", "1,,2", "a", "-", "1;2", "2,", "[1]", "nan", "1.5"):
            yield TRAIN, option, value
    for value in (
        "1-1000000000000",
        "3-1",
        "0-3",
        "-3",
        "0",
        "9",
        "3,3",
        "2,1,2",
        "1000000",
    ):
        yield TRAIN, "--levels", value
    for value in (
        "",
        ",",
        "bolt,",
        "bolt,bolt",
        "nothing",
        "../bolt",
        "bolt/train",
        "*",
    ):
        yield TRAIN, "--categories", value
        yield EVALUATE + " --model {model}", "--categories", value
    for value in ("", "nothing", "RLR", "../rlr", "\x1b[31mrlr", "x" * 5000):
        for option in ("--method", "--preset", "--backbone", "--recipe"):
            # The names of methods may be written in capitals.
            if (option, value) != ("--method", "RLR"):
                yield TRAIN, option, value
    yield TRAIN, "--backbone-weights", ""
    yield TRAIN, "--backbone-weights", "{image}"
    for value in ("", "=", "=1", "alpha", "a b=1", "1=2", "nothing=1", "self=1"):
        yield TRAIN, "--set", value
    for value in (
        "alpha=" + "[" * 100_000,
        "backbone=3",
        'backbone="\\u0000"',
        "image_size=1e400",
        "levels={}",
        "seed=-1",
        "seed=1.5",
        "seed=1" + "0" * 40,
        "epochs=0",
        "epochs=1.5",
        'batch_size="many"',
        "learning_rate=NaN",
        "learning_rate=[]",
        "calibration_fraction=NaN",
        "method=3",
        "preset=[]",
        "recipe=nothing",
        "anomaly_source=nothing",
    ):
        yield TRAIN, "--set", value
    for value in ("8", "17", "x", "", "nan"):
        yield PREDICT + " --model {model}", "--bit-depth", value
    for value in ("0", "-1", "x", "", "1" + "0" * 30, "nan"):
        yield PREDICT + " --model {model}", "--batch-size", value
        yield EVALUATE + " --model {model}", "--batch-size", value
    for value in ("", "nothing", "\x1b]0;title\x07", "../bolt"):
        yield PREDICT + " --model {model}", "--category", value
    for value in ("", "png", "NPY", "npy,tiff"):
        yield PREDICT + " --model {model}", "--maps", value
    for value in ("", "nothing", "keras,ray"):
        yield PREDICT + " --model {model}", "--engine", value
    yield PREDICT + " --model {model}", "--workers", "2"
    yield PREDICT + " --model {model}", "--decoder", "{image}"
    yield "predict s3://bucket/images --output {out} --model {model}", "--maps", "npy"
    for value in ("", "nothing", "tflite", "saved_model,onnx"):
        yield EXPORT + " --model {model}", "--format", value
    for value in ("", "nothing", "int4"):
        yield EXPORT + " --model {model} --format litert", "--quantize", value
    yield EXPORT + " --model {model} --format onnx", "--quantize", "int8"
    for value in ("", "nothing", "last"):
        yield EVALUATE + " --model {model}", "--protocol", value
        yield EVALUATE + " --model {model}", "--map-size", value
    yield EVALUATE + " --model {model}", "--protocol", "best-on-test-set"
    for value in ("0", "1", "-1", "x", "", *NOT_FINITE):
        yield "calibrate --data {data} --model {copy}", "--false-positive-rate", value
    for value in ("", "nothing", "{image}", "{data}", "/dev/null"):
        yield "calibrate --data {data} --model {model}", "--feedback", value
        yield "train --model {model}", "--add", value
        yield "train --model {model}", "--remove", value
        yield "train --add {data}", "--model", value
    for value in ("0", "-1", "65536", "x", "", "nan"):
        yield "app --model {model}", "--port", value
    for value in ("", "nothing", "visa,visa", "../visa"):
        yield "datasets verify", "{bare}", value
        yield "train --output {out}", "--dataset", value
    for value in ("0", "x", "", "nan", "1" + "0" * 30):
        yield (
            "decoder train --data {data} --model {model} --output {out}.keras",
            ("--width"),
            value,
        )
    for value in ("", "{out}", "{out}.h5", "{data}"):
        yield "decoder train --data {data} --model {model}", "--output", value
    for value in ("", "{out}", "{image}"):
        yield "import-checkpoint {image}", "--output", value


CASES = list(_cases())

# Arguments of the tiny model's class.
OF_A_MODEL = {
    "alpha": [None, "x", float("nan"), float("inf"), True],
    "attentions": [(), ("x",), 3, ("mlka", "mlka")],
    "augmentation": ["zoom", ("flip", "zoom"), 3],
    "backbone": [3, [], "", "nothing", "x" * 5000, "a\0b", "../a"],
    "backbone_weights": ["nothing.h5", "/dev/null", "/", "a\0b", "x" * 5000],
    "bit_depth": [0, 8, 17, "x", 1.5],
    "compact": ["false", None],
    "cosine_damping": [-1, float("nan"), float("inf"), "x", None],
    "coreset_ratio": [-1, 2, float("nan"), "x"],
    "dropout": [-1, 1, 2, "x", None],
    "dtype": ["nothing", 3],
    "error_share": [-1, 2, float("nan"), "0.5", None],
    "fuse_levels": ["false", 2],
    "hard_mining": [-1, 1, float("nan"), "x"],
    "hidden_dims": [(0,), (-16,), (15,), (1.5,), (2**40,), (16, 16), "x", ()],
    "image_size": [0, -32, 33, 1.5, 2**20, 10**30, None, "x", float("nan")],
    "levels": [(), (0,), (9,), (1, 1), (2, 1), ((),), 1.5, "x", (None,)],
    "loss_of_squares": ["no", float("nan")],
    "max_patches": [1.5, None, float("inf"), float("nan"), True],
    "noise_scale": [-1, float("nan"), float("inf"), "x"],
    "num_blocks": [0, -1, 1.5, 10**9, "x", None],
    "num_heads": [0, -1, 3, 1.5, 10**9, "x", None],
    "recipe": ["nothing", 3],
    "reference_start": ["nothing", 3],
    "reference_tokens": [0, -1, 1.5, 10**9],
    "residual": ["false", "no", 2, None],
    "score_share": [-1, 2, float("nan"), None],
    "seed": [-1, 1.5, "x"],
    "similar_images": [-1, 1.5, 10**9, None, float("inf")],
    "similar_share": [-1, 2, (0.5, 0.5, 0.5), "half"],
    "standardize_features": ["false", 2],
    "tiles_aligned": ["false", None],
    "tiles": [3, (0, 1), (-1, 2), (1,), (1.5, 1), (10**9, 10**9), "x", ("a", "b")],
    "windows": [(0,), (2,), (-3,), (99,), (1.5,), (3, 3), "x"],
}
