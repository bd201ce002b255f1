"""Measurements, each beside a peer in the same run; figures are kept in bench/README.md."""
