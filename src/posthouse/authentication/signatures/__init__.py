"""Signatures of domains on messages: DKIM (RFC 6376), and ARC on the same core (RFC 8617)."""
