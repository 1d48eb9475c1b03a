"""The charts of the dashboard, drawn by matplotlib; each comes with its data as a table."""
