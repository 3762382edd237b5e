"""PatchCore and PaDiM beside anomalib's, on the same features.

    python -m benchmarks.anomalib_maps write DATA FILE.npz    # with this package
    python benchmarks/anomalib_maps.py compare FILE.npz       # where anomalib is

Two environments, because anomalib pins what this package does not. The first writes
features and what the methods make of them, the second gives the features to anomalib's
models and prints the largest differences, of the largest value. anomalib smooths with
another rule at the borders, so maps are compared 16 pixels inside; its PatchCore
upsamples by nearest neighbour, so of PatchCore the distances of patches are compared.

Measured with anomalib 2.7.0 on bottles of MVTec AD: PatchCore's distances differ by
5e-6 and its weighted scores by 2e-7. PaDiM's maps differ by 5e-4: that is anomalib's
distance from a computation in float64; this package is 6e-7 from that.
"""

import sys

import numpy as np

_INSIDE = slice(16, -16)


def write(data, path):
    """Fits both methods on a category's first images, and keeps all that is needed.

    Args:
        data: Folder of a data set.
        path: The file that is written.
    """
    import keras_rlr
    from keras_rlr.datasets import FolderDataset

    train, test = (FolderDataset(data, split) for split in ("train", "test"))
    normal = [train[i] for i in range(24)]
    tested = [test[i]["image"] for i in range(0, len(test), max(1, len(test) // 6))]
    kept = {}
    patchcore = keras_rlr.PatchCore.from_preset(
        "patchcore_efficientnet_lite2", seed=0, reweighted_neighbors=9
    )
    padim = keras_rlr.PaDiM.from_preset("padim_efficientnet_lite2", seed=0)
    for name, model in (("patchcore", patchcore), ("padim", padim)):
        model.fit(normal, verbose=0)
        for part, images in (("normal", normal), ("tested", tested)):
            for level, features in zip(
                model.levels, model.extract_features(images), strict=True
            ):
                kept[f"{name}_{part}_{level}"] = features
        outputs = model.predict(tested, verbose=0)
        kept[f"{name}_map"] = outputs["anomaly_map"]
        kept[f"{name}_score"] = outputs["anomaly_score"]
    tokens = patchcore.fused_levels(patchcore.extract_features(tested))
    kept["patchcore_bank"] = np.asarray(patchcore.memory_bank.patches)
    kept["patchcore_distances"] = np.asarray(patchcore.memory_bank(tokens))
    kept["padim_channels"] = padim.channels
    np.savez(path, **kept)


def compare(path):
    """Prints how far anomalib's results are from those in a file.

    Args:
        path: What `write` wrote.
    """
    import torch
    from anomalib.models.image.padim.anomaly_map import AnomalyMapGenerator
    from anomalib.models.image.padim.torch_model import PadimModel
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    kept = dict(np.load(path))

    def levels(name, part):
        start = f"{name}_{part}_"
        found = sorted(key for key in kept if key.startswith(start))
        return {
            key.removeprefix(start): torch.from_numpy(kept[key]).permute(0, 3, 1, 2)
            for key in found
        }

    model = PatchcoreModel(layers=("layer2",), backbone="resnet18", pre_trained=False)
    model.layers = list(levels("patchcore", "tested"))
    embedding = model.generate_embedding(levels("patchcore", "tested"))
    count, _, height, width = embedding.shape
    embedding = model.reshape_embedding(embedding)
    model.memory_bank = torch.from_numpy(kept["patchcore_bank"])
    distances, locations = model.nearest_neighbors(embedding, n_neighbors=1)
    distances, locations = (x.reshape(count, -1) for x in (distances, locations))
    scores = model.compute_anomaly_score(distances, locations, embedding)
    grid = distances.reshape(count, height, width).numpy()
    report("PatchCore, distances of patches", grid, kept["patchcore_distances"])
    report("PatchCore, weighted scores", scores.numpy(), kept["patchcore_score"])

    padim = PadimModel(layers=["layer1"], pre_trained=False, n_features=10)
    padim.layers = list(levels("padim", "tested"))
    padim.idx = torch.from_numpy(kept["padim_channels"].astype("int64"))
    padim.gaussian.fit(padim.generate_embedding(levels("padim", "normal")))
    maps = AnomalyMapGenerator()(
        embedding=padim.generate_embedding(levels("padim", "tested")),
        mean=padim.gaussian.mean,
        inv_covariance=padim.gaussian.inv_covariance,
        image_size=torch.Size(kept["padim_map"].shape[1:]),
    )
    inside = (slice(None), _INSIDE, _INSIDE)
    report("PaDiM, maps", maps[:, 0].numpy()[inside], kept["padim_map"][inside])


def report(name, theirs, ours):
    """Prints the largest difference, of the largest value."""
    difference = np.abs(theirs - ours).max() / np.abs(theirs).max()
    print(f"{name}: {difference:.1e} of the largest value, shape {ours.shape}")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:])
    else:
        compare(*sys.argv[2:])
