"""Runs the command line: ``python -m stableft``."""

from stableft.cli.app import app

if __name__ == "__main__":
    app()
