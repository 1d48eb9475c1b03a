"""Jobs and shards: every guarded move."""
