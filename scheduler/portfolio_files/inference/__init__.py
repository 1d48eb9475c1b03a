"""Proposes a portfolio file from the data."""
