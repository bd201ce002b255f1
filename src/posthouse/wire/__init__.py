"""Between sockets and cores: TLS in memory and the octets of a connection."""
