"""Commands about models and drift."""
