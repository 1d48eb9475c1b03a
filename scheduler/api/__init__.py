"""The HTTP API: what the commands do, for programs and for people at other machines."""
