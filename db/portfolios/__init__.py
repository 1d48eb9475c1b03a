"""Portfolios: definitions, policies, and the sources that each may read."""
