"""UniAD: reconstruction of features by a transformer that may not copy."""
