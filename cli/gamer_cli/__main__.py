"""`python -m gamer_cli`, which is the command `gamer`."""

from .main import main

if __name__ == "__main__":
    main()
