"""Are known weaknesses among the packages of requirements.lock? `make audit`

pip-audit asks the Python advisory database, which is a service on the network. Where it, or the tool, is not to be had,
that is said loudly and nothing fails: an audit that did not happen is no reason to stop work, and no proof of anything.
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
    """1 when a package has a known weakness. What the database does not know was not audited."""
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
    say(f"*** NOT AUDITED: {why}. Known weaknesses in dependencies were not looked for. ***")
    return 0


def say(words: str) -> None:
    print(words, file=sys.stderr)  # noqa: T201  (for whoever ran it in a terminal)


if __name__ == "__main__":
    sys.exit(main())
