"""Maildirs, and the numbered view of them that a POP3 session works on."""
