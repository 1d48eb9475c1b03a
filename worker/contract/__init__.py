"""All that the scheduler may know of a worker."""
