"""Keys, sessions, webhooks, online requests."""
