"""The scorer, points and bands, the canary."""
