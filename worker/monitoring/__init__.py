"""The jobs of the monitoring queue, and the retraining trigger."""
