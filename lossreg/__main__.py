"""`python -m lossreg`."""

from lossreg.cli.main import main

if __name__ == "__main__":
    main()
