from __future__ import annotations

from pathlib import Path

import pytest

from composition.files import check_files
from settings import SettingsError, load_settings

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")

PEM = ["TEMPORAL_TLS_CERT_PATH", "TEMPORAL_TLS_KEY_PATH"]
JSON = ["GOOGLE_APPLICATION_CREDENTIALS", "GCS_LIBRARY_KEY_FILE"]


def refusal(monkeypatch: pytest.MonkeyPatch, variable: str, path: Path) -> str:
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(SettingsError) as refused:
        check_files(load_settings())
    return str(refused.value)


@pytest.mark.parametrize("variable", PEM + JSON)
def test_a_file_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    path = tmp_path / "none"

    line = refusal(monkeypatch, variable, path)

    assert line.startswith(
        f"{variable}: {path} cannot be read: No such file or directory. Example: {variable}=/secrets/"
    )


@pytest.mark.parametrize("variable", PEM + JSON)
def test_a_folder_is_not_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    assert "cannot be read: Is a directory" in refusal(monkeypatch, variable, tmp_path)


@pytest.mark.parametrize("variable", PEM + JSON)
def test_what_is_in_a_wrong_file_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    path = tmp_path / "secret"
    path.write_text("canary")

    line = refusal(monkeypatch, variable, path)

    assert line.startswith(f"{variable}: {path} is not a ")
    assert "canary" not in line


def test_right_files_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "json").write_text('{"type": "service_account"}')
    for variable in PEM:
        monkeypatch.setenv(variable, str(tmp_path / "pem"))
    for variable in JSON:
        monkeypatch.setenv(variable, str(tmp_path / "json"))

    check_files(load_settings())
