"""A training step with gradients written by hand."""
