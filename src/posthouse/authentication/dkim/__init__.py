"""Signatures of domains on messages (RFC 6376): the core that DKIM and ARC share."""
