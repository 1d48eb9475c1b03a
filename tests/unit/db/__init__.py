"""Tests of pure rules of the database package."""
