"""The closed list of log events, counters, and cases (recorded decisions)."""
