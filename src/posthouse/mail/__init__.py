"""Addresses, envelopes, messages, replies and reports: values of mail, without I/O."""
