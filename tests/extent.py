"""How much is tried: a part every day, everything in a full run."""

import os

FULL = os.environ.get("JUSTPAYME_FULL") == "1"
"""Is this a full run (`./justpayme test --full`)?"""
