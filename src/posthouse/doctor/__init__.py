"""From pasted words to a cause, who can fix it and the steps: pure, offline."""
