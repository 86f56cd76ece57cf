"""What is kept of a training: metrics in one or more loggers, images, predictions, and where each result came from."""
