"""The jobs of the training queue."""
