"""Kinds of `.keras` files that are broken or made to harm, from one that is whole."""

import copy
import io
import json
import struct
import zipfile

import h5py
import numpy as np

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"


def members(content):
    """The names and bytes in an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(parts, compression=zipfile.ZIP_STORED):
    """An archive of names and bytes; of a name that is given twice, both."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in parts.items() if isinstance(parts, dict) else parts:
            archive.writestr(name, data)
    return file.getvalue()


def without(name):
    return lambda content: archive_of(
        {key: data for key, data in members(content).items() if key != name}
    )


def with_member(name, data, compression=zipfile.ZIP_STORED):
    return lambda content: archive_of({**members(content), name: data}, compression)


def with_config(change):
    """Changes the parsed configuration; `change` may return another."""

    def write(content):
        parts = members(content)
        config = json.loads(parts[CONFIG])
        changed = change(config)
        config = config if changed is None else changed
        return archive_of({**parts, CONFIG: json.dumps(config)})

    return write


def with_argument(**values):
    """Gives the model's class these arguments."""
    return with_config(lambda config: config["config"].update(values))


def backbone_layers(config):
    """The layers of the tiny backbone in a configuration."""
    model = config["config"]["backbone"]["model"]["config"]
    return model["layers"][1]["config"]["layers"]


def with_layer(number, **values):
    """Changes the configuration of a layer of the backbone."""
    return with_config(
        lambda config: backbone_layers(config)[number]["config"].update(values)
    )


def instead_of_layer(module, class_name, /, **config):
    """Puts another object in the place of a layer of the backbone."""

    def change(parsed):
        layer = backbone_layers(parsed)[4]
        layer.update(module=module, class_name=class_name, registered_name=None)
        layer["config"] = {"name": layer["name"], **config}
        layer.pop("build_config", None)

    return with_config(change)


def with_weights(change):
    """Changes the opened file of weights."""

    def write(content):
        parts = members(content)
        file = io.BytesIO(parts[WEIGHTS])
        with h5py.File(file, "r+") as weights:
            change(weights)
        return archive_of({**parts, WEIGHTS: file.getvalue()})

    return write


def datasets(weights):
    """The arrays in a file of weights."""
    found = []
    weights.visititems(
        lambda name, item: found.append(item) if _is_array(item) else None
    )
    return found


def _is_array(item):
    return isinstance(item, h5py.Dataset)


def replace_arrays(make):
    """Puts another array in the place of each, by `create_dataset(**make(shape))`."""

    def change(weights):
        for array in datasets(weights):
            name, parent, shape = array.name, array.parent, array.shape
            del weights[name]
            parent.create_dataset(name.rpartition("/")[2], **make(shape))

    return with_weights(change)


def link_arrays_outside(weights):
    for array in datasets(weights):
        name = array.name
        del weights[name]
        weights[name] = h5py.ExternalLink("/etc/passwd", "/x")


def link_arrays_in_a_circle(weights):
    for array in datasets(weights):
        name = array.name
        del weights[name]
        weights[name] = h5py.SoftLink(name)


def external_arrays(shape):
    size = int(np.prod(shape)) * 4
    return {
        "shape": shape,
        "dtype": "float32",
        "external": [("/etc/passwd", 0, max(size, 1))],
    }


def nested(depth):
    def change(config):
        inner = copy.deepcopy(config["config"]["backbone"])
        for _ in range(depth):
            inner = {"origin": "user", "model": inner}
        config["config"]["backbone"] = inner

    return with_config(change)


def raw_config(text):
    return with_member(CONFIG, text)


def central_directory_lies(content):
    """The size that the list of members states of the configuration is 4 GiB."""
    place = content.rindex(b"PK\x01\x02")
    place = content.index(CONFIG.encode(), content.index(b"PK\x01\x02")) - 46
    return content[: place + 24] + struct.pack("<I", 2**32 - 2) + content[place + 28 :]


def layer_function(module, name):
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


LAMBDA = {
    "class_name": "__lambda__",
    "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None},
}
HUGE = 10**9

# In each the file is refused in a sentence, and nothing outside of it is touched.
KINDS = {
    # What is no such archive.
    "empty": lambda content: b"",
    "one byte": lambda content: b"P",
    "zeros": lambda content: bytes(10_000),
    "text": lambda content: b"a model",
    "pickle": lambda content: b"\x80\x04cos\nsystem\n(S'touch /tmp/x'\ntR.",
    "h5": lambda content: members(content)[WEIGHTS],
    "JSON alone": lambda content: members(content)[CONFIG],
    "cut to half": lambda content: content[: len(content) // 2],
    "cut by one": lambda content: content[:-1],
    "beginning lost": lambda content: content[500:],
    "middle overwritten": lambda content: (
        content[:20_000] + bytes(5_000) + content[25_000:]
    ),
    "directory lies": central_directory_lies,
    # What is an archive of something else.
    "empty archive": lambda content: archive_of({}),
    "another archive": lambda content: archive_of({"a.txt": b"b"}),
    "archive in an archive": lambda content: archive_of({"model.keras": content}),
    "no configuration": without(CONFIG),
    "no weights": without(WEIGHTS),
    "empty weights": with_member(WEIGHTS, b""),
    "text for weights": with_member(WEIGHTS, b"weights"),
    "weights cut short": lambda content: with_member(
        WEIGHTS, members(content)[WEIGHTS][:30_000]
    )(content),
    "bomb for weights": with_member(WEIGHTS, bytes(50_000_000), zipfile.ZIP_DEFLATED),
    "bomb for a configuration": with_member(
        CONFIG, b" " * 70_000_000, zipfile.ZIP_DEFLATED
    ),
    # Configurations that are none.
    "empty configuration": raw_config(b""),
    "configuration cut short": raw_config(b'{"module": "keras'),
    "configuration not UTF-8": raw_config(b'{"module": "\xff\xfe"}'),
    "configuration null": raw_config(b"null"),
    "configuration a list": raw_config(b"[]"),
    "configuration a number": raw_config(b"1e999"),
    "configuration a text": raw_config(b'"RLR"'),
    "configuration without keys": raw_config(b"{}"),
    "configuration nested deeply": raw_config(b"[" * 200_000),
    "number of many digits": raw_config(b'{"a": ' + b"9" * 10_000 + b"}"),
    "class without a name": with_config(lambda c: c.pop("class_name") and None),
    "no arguments": with_config(lambda c: c.pop("config") and None),
    "arguments a list": with_config(lambda c: c.update(config=[])),
    "arguments null": with_config(lambda c: c.update(config=None)),
    "registered name a number": with_config(lambda c: c.update(registered_name=3)),
    "registered name a list": with_config(lambda c: c.update(registered_name=[])),
    # Classes that are not ours.
    "unknown class": with_config(
        lambda c: c.update(registered_name="keras_rlr>Nothing", class_name="Nothing")
    ),
    "module os": with_config(
        lambda c: c.update(module="os", class_name="system", registered_name="system")
    ),
    "module subprocess": instead_of_layer("subprocess", "Popen", args=["true"]),
    "module builtins": instead_of_layer("builtins", "eval"),
    "module of another": instead_of_layer("some_package.layers", "Layer"),
    "module of ours, no layer": instead_of_layer(
        "keras_rlr.training.train", "train", data="/"
    ),
    "Sequential": with_config(
        lambda c: c.update(
            module="keras",
            class_name="Sequential",
            registered_name="Sequential",
            config={"name": "a", "layers": []},
        )
    ),
    "Lambda layer": instead_of_layer("keras.layers", "Lambda", function=LAMBDA),
    "lambda as activation": instead_of_layer(
        "keras.layers", "Activation", activation=LAMBDA
    ),
    "lambda as initializer": with_layer(2, kernel_initializer=LAMBDA),
    "function of os": instead_of_layer(
        "keras.layers", "Activation", activation=layer_function("os", "system")
    ),
    "function of builtins": instead_of_layer(
        "keras.layers", "Activation", activation=layer_function("builtins", "print")
    ),
    "pickled torch module": instead_of_layer(
        "keras.layers", "TorchModuleWrapper", module="gASVAA=="
    ),
    "SavedModel of a path": instead_of_layer(
        "keras.layers", "TFSMLayer", filepath="/tmp", call_endpoint="serve"
    ),
    "vocabulary of a path": instead_of_layer(
        "keras.layers", "StringLookup", vocabulary="/etc/passwd"
    ),
    # Arguments that are no such thing.
    **{
        f"{name} {value!r}": with_argument(**{name: value})
        for name, values in {
            "image_size": [None, "x", -32, 0, 33, 1e300, [], {}, float("nan")],
            "levels": [None, "x", [], [1, 1], {}, 1.5, [[]]],
            "hidden_dims": ["x", [], [0], [-16], [15], [1.5], [None], {}],
            "windows": ["x", [], [0], [2], [-3], [99], {}],
            "num_heads": [None, "x", 0, -1, 3, 1.5],
            "num_blocks": [None, "x", -1, 1.5],
            "alpha": [None, "x", []],
            "noise_scale": ["x", -1, []],
            "attentions": [None, "x", [], ["mlka", "mlka"], 3],
            "seed": ["x", -1, 1.5, []],
            "bit_depth": ["x", 0, 99, []],
            "backbone": [None, "x", 3, [], {}, {"origin": "user"}, {"origin": "x"}],
            "dtype": ["x", 3, []],
            "name": ["a/b", 3, []],
            "nothing": [1],
        }.items()
        for value in values
    },
    "backbone nested deeply": nested(300),
    # Layers that are far larger than the file.
    "huge filters": with_layer(2, filters=HUGE),
    "huge kernel": with_layer(2, kernel_size=[HUGE, HUGE]),
    "huge kernel of few": with_layer(2, kernel_size=[20_000, 20_000]),
    "huge hidden_dims": with_argument(hidden_dims=[2**40]),
    "large hidden_dims": with_argument(hidden_dims=[40_000]),
    "huge image_size": with_argument(image_size=2**30),
    "large image_size": with_argument(image_size=2**17),
    "huge num_blocks": with_argument(num_blocks=HUGE),
    "large num_blocks": with_argument(num_blocks=100_000),
    "huge windows": with_argument(windows=[2**31 + 1]),
    "huge reference_tokens": with_argument(reference_tokens=HUGE),
    "huge Dense": instead_of_layer("keras.layers", "Dense", units=HUGE),
    "huge UpSampling": instead_of_layer(
        "keras.layers", "UpSampling2D", size=[HUGE, HUGE]
    ),
    # Layers that are none of this network.
    "negative filters": with_layer(2, filters=-8),
    "filters a text": with_layer(2, filters="many"),
    "strides of 0": with_layer(2, strides=[0, 0]),
    "no padding": with_layer(2, padding=None),
    "other filters": with_layer(2, filters=9),
    "activation a list": with_layer(2, activation=[]),
    "layer that reads itself": with_config(
        lambda c: backbone_layers(c)[2]["inbound_nodes"][0]["args"][0]["config"].update(
            keras_history=["conv2d", 0, 0]
        )
    ),
    "layer that reads none": with_config(
        lambda c: backbone_layers(c)[2]["inbound_nodes"][0]["args"][0]["config"].update(
            keras_history=["nothing", 0, 0]
        )
    ),
    "no layers": with_config(
        lambda c: c["config"]["backbone"]["model"]["config"].update(layers=[])
    ),
    # Weights that are not of this network.
    "weights of no arrays": with_weights(lambda weights: weights.clear()),
    "weights of other shapes": replace_arrays(
        lambda shape: {"data": np.zeros((3, 3, 3), "float32")}
    ),
    "weights of texts": replace_arrays(lambda shape: {"data": np.array([b"x"])}),
    "weights of nothing": replace_arrays(lambda shape: {"data": h5py.Empty("f4")}),
    "weights never written": replace_arrays(
        lambda shape: {"shape": (10**6, 10**6), "dtype": "f4", "chunks": (100, 100)}
    ),
    "weights of other files": replace_arrays(external_arrays),
    "weights by links outside": with_weights(link_arrays_outside),
    "weights by links in a circle": with_weights(link_arrays_in_a_circle),
}

# In each there is more than is needed, which must not be followed nor written.
HARMLESS = {
    "member above": with_member("../escaped", b"x"),
    "member at the root": with_member("/tmp/keras_rlr_escaped", b"x"),
    "asset above": with_member("assets/../../escaped", b"x"),
    "members of many": lambda content: archive_of(
        {**members(content), **{f"assets/{i}": b"" for i in range(500)}}
    ),
    "junk before": lambda content: b"#!/bin/sh\n" + content,
    "compressed": lambda content: archive_of(members(content), zipfile.ZIP_DEFLATED),
}
