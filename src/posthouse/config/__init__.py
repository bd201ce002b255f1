"""The configuration file: its schema, its errors with their place, and the rules made of it."""
