"""Celery workers: score a shard, train a model, monitor a job."""
