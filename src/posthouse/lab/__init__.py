"""A small Internet on loopback: scenarios, demonstration, load."""
