"""Blind reconstruction: from a start, by the pretrained network's iterations, to an image with its probe."""
