"""Checks the packages in requirements.lock for known vulnerabilities: `make audit`.

pip-audit queries the Python advisory database over the network. If it or the tool is not available, a clear message is
printed and nothing fails: a missing audit is no reason to stop work, and proves nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

LOCK: Final = Path("requirements.lock")
_TIME_S: Final = 120


def main() -> int:
    """Run the audit and return the exit status."""
    tool = shutil.which("pip-audit", path=str(Path(sys.executable).parent)) or shutil.which("pip-audit")
    if tool is None:
        return skipped("pip-audit is not installed (pipx install pip-audit)")
    command = [tool, "-r", str(LOCK), "--disable-pip", "--require-hashes", "--progress-spinner", "off", "-f", "json"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_S, check=False)  # noqa: S603 - ours
        found = json.loads(run.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return skipped("pip-audit could not reach its database")
    return judged(found)


def judged(packages: list[dict[str, Any]]) -> int:
    """Return 1 if a package has a known vulnerability. Packages that the database does not know were not audited."""
    weak = [(each, weakness) for each in packages for weakness in each.get("vulns", ())]
    for package, weakness in weak:
        fixed = ", ".join(weakness.get("fix_versions", ())) or "nothing yet"
        say(f"{package['name']} {package['version']}: {weakness['id']}, mended in {fixed}")
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    if weak:
        return 1
    if unknown:
        return skipped(f"the database did not answer for {len(unknown)} of {len(packages)} packages")
    say(f"audit: {len(packages)} packages, no known weakness")
    return 0


def skipped(why: str) -> int:
    """Print that there was no audit, and return 0."""
    say(f"*** NOT AUDITED: {why}. Known weaknesses in dependencies were not looked for. ***")
    return 0


def say(words: str) -> None:
    """Print a line for the terminal."""
    print(words, file=sys.stderr)  # noqa: T201  (output of a command)


if __name__ == "__main__":
    sys.exit(main())
