"""``python -m trajstore``."""

from trajstore.cli import main

if __name__ == "__main__":
    main()
