"""Reason codes: the explainer, masking."""
