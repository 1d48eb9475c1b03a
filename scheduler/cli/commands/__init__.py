"""The commands of `tidemark`, one file a group."""
