"""The exit codes that scripts may rely on."""

DONE = 0
REJECT_BUDGET = 2
FAILED = 3
CANCELLED = 4
WRONG_USAGE = 64
INTERRUPTED = 130
