"""The image of a scan while it is being measured."""
