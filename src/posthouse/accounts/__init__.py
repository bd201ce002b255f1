"""Who has an account here: addresses, passwords, POP3 sign-ins, grants and usage."""
