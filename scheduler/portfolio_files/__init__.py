"""The portfolio file: read, checked, proposed."""
