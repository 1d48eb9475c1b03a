"""The fault matrix: real processes are killed, stopped and cut off, and the oracle looks at what is left."""
