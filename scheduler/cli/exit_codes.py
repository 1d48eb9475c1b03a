"""The exit codes that scripts may rely on."""

DONE = 0
REJECT_BUDGET = 2
FAILED = 3
CANCELLED = 4
UNKNOWN_KEY = 5
NOT_EVERYWHERE = 6
NOT_YET_GONE = 7
UNUSABLE = 8  # scores were written, and are marked not to be used
REFUSED = 9  # the gate refused a model: no better than chance, or a suspicious column
WRONG_USAGE = 64
INTERRUPTED = 130
