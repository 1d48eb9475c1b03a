"""Documents for people: results, nights, model cards."""
