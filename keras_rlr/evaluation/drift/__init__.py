"""Whether scores of production images are still those of calibration."""
