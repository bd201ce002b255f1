"""`python -m posthouse`."""

from posthouse.cli.main import run

if __name__ == "__main__":
    run()
