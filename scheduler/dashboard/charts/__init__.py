"""The charts of the dashboard, drawn by matplotlib; each has the table behind it."""
