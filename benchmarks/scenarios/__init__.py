"""One scenario a file, each with `measure(site)`."""
