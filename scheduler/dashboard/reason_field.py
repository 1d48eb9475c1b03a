"""The form field for the reason of an action, which the event log keeps together with the person."""

from typing import Annotated

from fastapi import Form

from scheduler.api.parameters import TEXT_PATTERN

_LONGEST = 500  # characters, as for the API

Why = Annotated[str, Form(max_length=_LONGEST, pattern=TEXT_PATTERN)]
# Who changes what scores a whole book, or many jobs at once, has to say why.
Reason = Annotated[str, Form(min_length=3, max_length=_LONGEST, pattern=TEXT_PATTERN)]
