"""The loop that moves weights; pretraining."""
