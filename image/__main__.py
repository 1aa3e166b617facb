"""The command line behind build.sh."""

import sys

from image.command_line import main

sys.exit(main())
