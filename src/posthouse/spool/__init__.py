"""What was accepted and is not yet settled: nothing here is ever lost."""
