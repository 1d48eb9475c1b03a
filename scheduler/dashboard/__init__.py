"""The dashboard: pages that the API serves to people. It asks and changes what the API does, by the same functions."""
