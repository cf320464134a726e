"""`python -m fittingroom` is the command line."""

from fittingroom.cli.main import main

if __name__ == "__main__":
    main()
