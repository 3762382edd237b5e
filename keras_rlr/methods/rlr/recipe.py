"""How RLR is trained: as in the paper, or sooner."""

from keras_rlr.detectors.recipe import Recipe, named_recipe

PAPER = Recipe("paper", epochs=200, batch_size=4, learning_rate=1e-4)
# The gradients of the first steps are many times those of later ones; to forget them in
# 20 steps instead of 1000 saves a third of the epochs. Learning takes steps rather than
# images: two categories need the same number of them in batches of 2, 4 and 8.
_STANDARDIZED = Recipe(
    "default", steps=1500, epochs=15, batch_size=4, learning_rate=2e-4, beta_2=0.95
)
_FUSED = Recipe(
    "default",
    steps=1500,
    epochs=15,
    batch_size=8,
    learning_rate=4e-4,
    beta_2=0.95,
    cosine=True,
)


def resolve_recipe(name, standardize_features, fuse_levels=False):
    """Returns the recipe called `name` for a model.

    Args:
        name: "paper", or "default": the paper's where features are raw and each level
            has a reconstructor; shorter ones where features are standardised, which
            learn about three times sooner, or levels are fused.
        standardize_features: Whether the model standardises its features.
        fuse_levels: Whether it reconstructs all levels in one grid.

    Raises:
        ValueError: If there is no such recipe.
    """
    if fuse_levels:
        default = _FUSED
    else:
        default = _STANDARDIZED if standardize_features else PAPER
    return named_recipe(name, default, PAPER)
