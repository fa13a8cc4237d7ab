"""Asks the registry of packages for known advisories on what is installed; ``make audit`` runs it.

That nothing was found means something only if packages were looked up: without a network pip-audit skips all, and is
content.
Exit code 1: there are advisories. 2: nothing could be looked up.
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from typing import Any


def verdict(found: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Exit code and words for what pip-audit says of each package."""
    looked_up = [package for package in found if "skip_reason" not in package]
    skipped = sorted(package["name"] for package in found if "skip_reason" in package)
    lines = [
        f"{package['name']} {package['version']}: {advisory['id']}, fixed in {', '.join(advisory['fix_versions']) or '-'}"
        for package in looked_up
        for advisory in package["vulns"]
    ]
    if not looked_up:
        return (
            2,
            "NOT AUDITED: no advisory could be looked up. This needs a network that reaches the registry of packages.",
        )
    told = f"{len(looked_up)} packages looked up, {len(lines)} advisories."
    if skipped:
        told += f" Not known there, so not looked up: {', '.join(skipped)}."
    return int(bool(lines)), "\n".join([*lines, told])


def main() -> int:
    """Audit the environment whose Python runs this."""
    where = sysconfig.get_paths()["purelib"]
    command = [*sys.argv[1:], "--path", where, "--skip-editable", "--format", "json", "--progress-spinner", "off"]
    run = subprocess.run(command, capture_output=True, text=True)
    try:
        found = json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"NOT AUDITED: {(run.stderr.strip().splitlines() or ['pip-audit said nothing'])[-1]}", file=sys.stderr)
        return 2
    code, told = verdict(found)
    print(told, file=sys.stderr if code == 2 else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
