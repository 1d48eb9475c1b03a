"""Migrations 0011 to 0021."""
