"""Tests of pure rules of the loop."""
