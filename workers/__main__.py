"""``python -m edgeworthy.workers FD PARENT MODULE``: a child process, see ``serve``."""

import sys

from .serve import main

main(sys.argv[1:])
