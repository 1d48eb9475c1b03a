"""What every job of a worker stands on: claims, heartbeats, settings, what follows which error."""
