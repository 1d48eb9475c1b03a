"""Model versions, champions and decisions."""
