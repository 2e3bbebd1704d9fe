"""``python -m ragcore`` is the command ``ragcore``."""

from __future__ import annotations

from ragcore.cli import main

if __name__ == "__main__":
    main(prog_name="ragcore")
