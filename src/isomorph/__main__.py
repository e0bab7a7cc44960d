"""`python -m isomorph` is `isomorph`."""

from .cli import main

if __name__ == "__main__":
    main()
