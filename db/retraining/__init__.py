"""Outcomes, vintages, the trigger's state, promotion by hand."""
