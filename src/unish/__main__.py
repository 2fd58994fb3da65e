"""``python -m unish``."""

import sys

from unish.cli import main

if __name__ == "__main__":
    sys.exit(main())
