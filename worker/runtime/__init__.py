"""What every job of a worker uses: claims, heartbeats, settings, error handling."""
