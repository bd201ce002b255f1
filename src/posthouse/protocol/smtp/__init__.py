"""SMTP (RFC 5321): both sides as cores without I/O."""
