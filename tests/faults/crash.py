"""A child that crashes at once."""

import sys

sys.exit(3)
