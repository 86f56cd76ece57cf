"""From a file of any tool to a dataset: readers, what was said of it, and an examination of what came out."""
