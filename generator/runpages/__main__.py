"""`python -m runpages`."""

from __future__ import annotations

from runpages.cli import main

if __name__ == "__main__":
    main()
