"""Files of records and outcomes: CSV, JSON lines, Parquet."""
