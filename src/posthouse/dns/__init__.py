"""Look-ups: mail exchangers, and host names that may relay."""
