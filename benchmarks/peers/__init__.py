"""What others would use for the same work, in processes and an environment of their own."""
