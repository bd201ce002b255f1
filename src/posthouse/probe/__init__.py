"""Tests from outside: what a stranger may do, tried as strangers do it."""
