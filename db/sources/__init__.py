"""The customers' tables: ranges, frames, loading."""
