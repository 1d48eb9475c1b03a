"""Gathers evidence about a new model, judges it, decides."""
