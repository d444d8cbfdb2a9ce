"""`justpayme doctor`: look at a configuration and say what is wrong with it."""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from justpayme.runtime.command import FAILED, OK, Command
from justpayme.runtime.doctor import examine


def add_arguments(parser: ArgumentParser) -> None:
    """How to print."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(arguments: Namespace) -> int:
    """Print each check; exit code 1 if any failed."""
    findings = examine()
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            mark = "ok  " if finding.ok else "FAIL"
            print(f"{mark}  {finding.check:<{width}}  {finding.text}")
    return OK if all(finding.ok for finding in findings) else FAILED


COMMAND = Command("doctor", "check the settings and this machine", add_arguments, run)
