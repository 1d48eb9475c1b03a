"""A soak: everything at once on PostgreSQL, with faults, for as long as one likes; and what must hold all the time."""
