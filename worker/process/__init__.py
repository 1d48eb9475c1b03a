"""The Celery process: application, tasks, presence."""
