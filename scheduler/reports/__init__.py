"""What people read and take away: results, nights, model cards."""
