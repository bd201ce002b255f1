"""Who may relay and who may write as whom: pure functions of facts and rules."""
