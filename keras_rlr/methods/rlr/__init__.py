"""RLR: reconstruction of features from a learnable reference."""
