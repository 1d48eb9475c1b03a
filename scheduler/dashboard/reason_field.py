"""Why a person does something, as a field of a form. It is kept in the event log beside who did it."""

from typing import Annotated

from fastapi import Form

from scheduler.api.parameters import TEXT_PATTERN

_LONGEST = 500  # characters, as for the API

Why = Annotated[str, Form(max_length=_LONGEST, pattern=TEXT_PATTERN)]
# Who changes what scores a whole book, or many jobs at once, has to say why.
Reason = Annotated[str, Form(min_length=3, max_length=_LONGEST, pattern=TEXT_PATTERN)]
