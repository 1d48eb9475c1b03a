"""The scheduler proper: one loop of duties that plans, dispatches, recovers and fires schedules."""
