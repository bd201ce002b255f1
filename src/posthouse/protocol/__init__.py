"""SMTP, POP3 and SASL as cores: octets in, events out; answers in, octets out."""
