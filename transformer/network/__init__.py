"""The Keras network, read from top to bottom."""
