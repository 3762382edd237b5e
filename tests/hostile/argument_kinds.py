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
_LISTS = {"--levels": "3", "--hidden-dims": "16"}


def _cases():
    for option in _WHOLE:
        for value in (*NOT_NUMBERS, *NOT_FINITE, "-1", "0.5", "1" + "0" * 30):
            yield TRAIN, option, value
    for option in ("--epochs", "--batch-size", "--image-size", "--distribution"):
        yield TRAIN, option, "0"
    yield TRAIN, "--image-size", "1000000"
    yield TRAIN, "--distribution", "4097"
    for option in (*_FLOATS, "--coreset-ratio"):
        for value in (*NOT_NUMBERS, *NOT_FINITE, "-1", "-0.001"):
            yield TRAIN, option, value
    yield TRAIN, "--learning-rate", "0"
    yield TRAIN, "--calibration-fraction", "1"
    yield TRAIN, "--coreset-ratio", "1.5"
    for option in _LISTS:
        for value in ("", ",", "1,,2", "a", "-", "1;2", "2,", "[1]", "nan", "0", "-3"):
            yield TRAIN, option, value
    for value in ("1-1000000000000", "3-1", "0-3", "9", "3,3", "2,1,2", "1000000"):
        yield TRAIN, "--levels", value
    for value in ("1000000000000", "7", "16,16,16,16,16"):
        yield TRAIN, "--hidden-dims", value
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
    for value in ("", "nothing.h5", "/dev/null", "{data}", "{image}"):
        yield TRAIN, "--backbone-weights", value
    for value in ("", "=", "=1", "alpha", "a b=1", "1=2", "nothing=1", "self=1"):
        yield TRAIN, "--set", value
    for value in (
        "alpha=NaN",
        "alpha=x",
        "alpha=" + "[" * 100_000,
        "windows=[0]",
        "windows=[4]",
        "windows={}",
        "windows=[1e9]",
        "num_heads=0",
        "num_heads=7",
        "num_blocks=0",
        "num_blocks=-1",
        "num_blocks=1000000000",
        "num_blocks=true",
        "noise_scale=Infinity",
        "attentions=[]",
        'attentions=["x"]',
        "backbone=null",
        "backbone=3",
        'backbone_weights="\\u0000"',
        "image_size=1e400",
        "image_size=null",
        "image_size=[1,2,3]",
        "seed=-1",
        "seed=1.5",
        "seed=1" + "0" * 40,
        "levels=3",
        "levels={}",
        "levels=[[]]",
        "levels=[null]",
        "hidden_dims=[1e3]",
        "epochs=0",
        'categories="bolt"',
        "method=3",
        "preset=[]",
        "name=3",
        "dtype=nothing",
        "cosine_damping=-1",
        "cosine_damping=NaN",
        "similar_images=-1",
        "reference_tokens=0",
        "error_share=2",
        "dropout=2",
        "augmentation=zoom",
        "trained_categories=3",
        "bit_depth=99",
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
