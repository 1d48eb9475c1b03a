"""The HTTP API: the functions of the commands, for programs and for people on other machines."""
