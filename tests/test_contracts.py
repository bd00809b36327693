"""Each import contract, broken on purpose, is caught."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINTER = Path(sys.executable).parent / "lint-imports"
BREACHES = {
    "schemas/spans.py": ("import storage.lake", "Data moves one way"),
    "storage/lake.py": ("import collector.log", "Data moves one way"),
    "collector/pipeline.py": ("import analytics.rows", "Data moves one way"),
    "analytics/traces/spans.py": ("import collector.request", "Data moves one way"),
    "sdk/fallom/assignment.py": ("import schemas.spans", "The SDK imports nothing of the server"),
    "analytics/rows.py": ("import fallom", "fallom.assignment alone"),
    "collector/receivers/otlp_http.py": ("import collector.receivers.fallom_http", "Receivers do not know each other"),
    "collector/processors/price.py": ("import collector.processors.normalise", "Processors do not know each other"),
    "analytics/experiments/metrics/cost.py": (
        "import analytics.experiments.metrics.tokens",
        "Metrics do not know each other",
    ),
    "analytics/api/sql.py": ("import analytics.api.traces", "Routers do not know each other"),
    "collector/log.py": ("import deltalake", "stay inside storage"),
    "analytics/experiments/results.py": ("import duckdb", "stay inside storage"),
    "collector/admission.py": ("import server.settings", "Data moves one way"),
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'sdk'}", "COLUMNS": "200"}
    return subprocess.run(
        [LINTER, "--no-cache"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and the contracts, to be broken."""
    for package in ("server", "collector", "analytics", "storage", "schemas", "sdk"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", BREACHES)
def test_a_forbidden_import_breaks_its_contract(copy: Path, path: str) -> None:
    statement, contract = BREACHES[path]
    source = copy / path
    source.write_text(f"{source.read_text()}\n{statement}\n")

    linted = lint(copy)

    broken = [line for line in linted.stdout.splitlines() if "BROKEN" in line]
    assert linted.returncode != 0
    assert any(contract in line for line in broken), linted.stdout


def test_the_code_as_it_is_keeps_them(copy: Path) -> None:
    linted = lint(copy)

    assert linted.returncode == 0, linted.stdout
