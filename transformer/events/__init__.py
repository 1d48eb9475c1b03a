"""Events of records: aligned with their records, made into aggregates, and which aggregates a model reads."""
