"""The images' steps in an empty root: what is missing from an image fails here, without a container engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image_steps import BuiltImage, build, entry_point, is_copied

IMPORT_ALL = """
import importlib, pathlib
names = [str(path.with_suffix("")).replace("/", ".") for path in pathlib.Path().rglob("*.py")]
for name in names:
    importlib.import_module(name.removesuffix(".__init__"))
print(len(names))
"""
REQUIRED = {
    *("DEPLOYMENT", "JWT_SECRET", "MONGODB_ATLAS_URI", "TEMPORAL_ADDRESS", "API_KEY_SECRET"),
    *("TENSORDOCK_API_TOKEN", "GCS_BUCKET_NAME"),
}


def needed() -> str | None:
    """What this machine lacks; None when nothing."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return "needs root on Linux: sudo make test TESTS=tests/test_image_steps.py"
    if missing := [name for name in ("setpriv", "unshare", "chroot", "useradd", "git") if not shutil.which(name)]:
        return f"needs {', '.join(missing)}: apt-get install util-linux coreutils passwd git"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False, capture_output=True).returncode:
        return "needs namespaces: run it where `unshare --mount --pid --fork true` works"
    if not Path("/bin").is_symlink():
        return "needs a merged /usr, as Debian has since 12"
    return None


requires_root = pytest.mark.skipif(needed() is not None, reason=needed() or "")


@pytest.fixture(scope="module", params=["gateway", "worker"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltImage]:
    root = tmp_path_factory.mktemp(f"image-{request.param}")
    root.chmod(0o755)
    yield build(request.param, root)
    shutil.rmtree(root, ignore_errors=True)


@requires_root
def test_an_image_starts_as_its_user_and_names_what_production_requires(image: BuiltImage) -> None:
    checked = image.run(*entry_point(image.stage), "--check", "--json", "--role", image.stage)

    assert checked.stderr == ""
    failed = {
        each["message"].partition(":")[0] for each in json.loads(checked.stdout)["checks"] if each["state"] == "failed"
    }
    assert failed >= REQUIRED | ({"SSH_KEY_PATH"} if image.stage == "worker" else set())
    assert "unexpectedly" not in checked.stdout


@requires_root
def test_every_module_of_an_image_can_be_imported(image: BuiltImage) -> None:
    imported = image.run("/venv/bin/python", "-c", IMPORT_ALL)

    assert (imported.returncode, imported.stderr) == (0, "")
    assert int(imported.stdout) > 300


@requires_root
def test_an_image_has_its_account_its_bytecode_and_nothing_that_only_developers_need(image: BuiltImage) -> None:
    app = image.root / "app"

    assert image.run("id", "--user", "--name").stdout == "gamer\n"
    assert list((app / "launch" / "__pycache__").glob("workflow.*.pyc")) != []
    assert (
        sorted(name for name in ("tests", "bench", "docs", ".git", ".env", "cli", "deploy") if (app / name).exists())
        == []
    )
    assert image.run("sh", "-c", "touch /app/x 2>/dev/null || touch /tmp/x").returncode == 0


@pytest.mark.parametrize(
    ("name", "copied"),
    [
        *(("server.py", True), ("launch/workflow.py", True), ("graphql/operations/Vm.graphql", True)),
        *(("tests/conftest.py", False), ("README.md", False), ("launch/__pycache__/x.pyc", False)),
        *(("web/graphiql/src/index.ts", False), ("web/graphiql/dist/index.html", True), (".env", False)),
    ],
)
def test_files_are_copied_as_dockerignore_says(name: str, copied: bool) -> None:
    patterns = Path(".dockerignore").read_text().split()

    assert is_copied(name, patterns) is copied
