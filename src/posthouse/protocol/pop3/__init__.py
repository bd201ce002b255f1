"""POP3 (RFC 1939): the server side as a core without I/O."""
