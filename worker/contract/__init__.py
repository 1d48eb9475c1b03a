"""Everything that the scheduler may know about a worker."""
