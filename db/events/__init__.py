"""The event log, and who is notified."""
