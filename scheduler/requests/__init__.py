"""What may be asked for: one use case a function, whoever asks."""
