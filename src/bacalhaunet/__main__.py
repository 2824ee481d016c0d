"""``python -m bacalhaunet``: the command line, where its script is not on the path."""

import sys

from bacalhaunet.cli.main import main

sys.exit(main())
