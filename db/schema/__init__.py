"""Tables, states and legal moves."""
