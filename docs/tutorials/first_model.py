# %% [markdown]
# # The first model
#
# This page is a script: `python docs/tutorials/first_model.py` runs it in less than a
# minute on a CPU, without a network. It trains a PatchCore on painted products, sets
# its thresholds, and looks at what it finds.

# %%
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_rlr
from keras_rlr.datasets import FolderDataset, write_procedural_dataset
from keras_rlr.evaluation import HeatScale, draw_overlay

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Images
#
# Two products: gears, and wood. Normal images to train on, and for testing further
# normal ones, images with defects and masks of them. With your own, write
# `FolderDataset("my_products")`; the layouts that it reads are in [Data
# sets](../data.md).

# %%
write_procedural_dataset(
    folder / "products",
    categories=["gear", "wood"],
    image_size=128,
    train_per_category=24,
    test_normal=6,
    test_anomalous=8,
)
images = FolderDataset(folder / "products")
test = FolderDataset(folder / "products", "test")
print(len(images), "normal images,", len(test), "to test on")
print(sorted(images[0]))

# %% [markdown]
# ## Training
#
# Every third normal image is held back: thresholds come from images that the model
# has not seen. PatchCore looks at each image once and has no epochs.

# %%
held_back = [image for i, image in enumerate(images) if i % 3 == 0]
used = [image for i, image in enumerate(images) if i % 3 != 0]

model = keras_rlr.PatchCore.from_preset(
    "patchcore_efficientnet_lite2", image_size=128, coreset_ratio=0.1, seed=0
)
model.fit(used, verbose=0)

# %% [markdown]
# ## Thresholds
#
# A false-positive rate of 1 in 10 needs at least nine images. Each product gets a
# threshold of its own, and the model learns to tell the two apart.

# %%
model.calibrate(held_back, false_positive_rate=0.1, training_images=used)
print("threshold of all images:", round(model.threshold, 3))
print("products:", model.known_categories)

# %% [markdown]
# ## How good is it?
#
# [Evaluation](../evaluation.md) says what the figures are.

# %%
figures = model.evaluate(test, verbose=0, return_dict=True)
for name in ("image_auroc", "pixel_auroc", "pixel_aupro"):
    print(name, round(float(figures[name]), 3))

# %% [markdown]
# ## What does it find?
#
# `predict` decides by the threshold of the product that each image shows. `regions`
# are where the map reaches the pixel threshold of that product.

# %%
out = model.predict(test, verbose=0)
labels = np.array([element["label"] for element in test], bool)
found = out["is_anomalous"]
print((found & labels).sum(), "of", labels.sum(), "defects found")
print((found & ~labels).sum(), "false alarms")

highest = int(out["anomaly_score"].argmax())
pixel_threshold = model.pixel_threshold_of(out["category"][highest])
regions = keras_rlr.regions(out["anomaly_map"][highest], pixel_threshold)
for region in regions[:3]:
    print("box", region.box, "area", region.area, "score", round(region.score, 3))

# %% [markdown]
# A picture of it: the image, and the image with its map over it. Colours begin just
# below the threshold; the true defect is outlined.

# %%
element = test[highest]
picture = draw_overlay(
    element["image"],
    out["anomaly_map"][highest],
    HeatScale.of_threshold(model.threshold),
    element["mask"],
    score=out["anomaly_score"][highest],
)
picture.save(folder / "overlay.png")
print(folder / "overlay.png")

# %% [markdown]
# ![An image and its anomaly map](../pictures/overlay.jpg)
#
# ## Keep it
#
# The file has the thresholds too. It loads on every backend.

# %%
model.save(folder / "detector.keras")
again = keras.saving.load_model(folder / "detector.keras")
print(again.threshold == model.threshold)

# %% [markdown]
# Next: [Your situation](../situations.md), [Which method when](../methods.md),
# [Export and serving](../export.md).
