"""Decides what runs when: command line, submission, planning, dispatch, recovery."""
