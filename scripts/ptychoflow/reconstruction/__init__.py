"""From a checkpoint to one image of the object: inference, stitching, the file, its scores and its export."""
