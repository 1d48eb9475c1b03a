"""Part of pytest: the files whose tests took longest, at the end of a run of many."""

from collections import Counter

import pytest

SHOWN, LEAST_TESTS = 10, 500  # of fewer tests `--durations` tells more


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the longest files, with the time of set-up and tear-down."""
    seconds, tests = Counter[str](), 0
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
                tests += report.when == "call"
    if tests < LEAST_TESTS:
        return
    terminalreporter.section("longest files")
    for name, spent in seconds.most_common(SHOWN):
        terminalreporter.write_line(f"{spent:7.1f} s  {name}")
    terminalreporter.write_line(f"{seconds.total():7.1f} s  all of {tests:,} tests, one after the other")
