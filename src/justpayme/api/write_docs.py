"""Writes docs/api.md from the schema: `python -m justpayme.api.write_docs docs/api.md`."""

import sys
from pathlib import Path

import django


def main(target: Path) -> None:
    """Write the reference to `target`."""
    django.setup()
    from justpayme.api.reference import markdown
    from justpayme.api.v1 import schema

    target.write_text(markdown(schema()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/api.md"))
