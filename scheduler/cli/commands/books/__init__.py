"""Commands about portfolios and their data."""
