"""The timetable and its due times."""
