"""The dashboard as a browser without script sees it."""
