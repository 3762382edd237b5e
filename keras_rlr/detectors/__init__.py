"""What any detector is, and what detectors on frozen features share."""
