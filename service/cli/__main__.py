"""`python -m service.cli` is `candor`."""

from service.cli import main

if __name__ == "__main__":
    main()
