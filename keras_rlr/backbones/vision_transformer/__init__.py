"""Vision transformers as backbones: DINOv2, DINOv3 and what keras-hub has of them."""
