"""The distribution: built and used outside the checkout as a user of a package index would."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BUILD = "import setuptools.build_meta as b, sys; to = sys.argv[1]; b.build_sdist(to); b.build_wheel(to)"
COMMANDS = (
    "run adam --protocol smoke --seeds 0-1",
    "figures",
    "tables",
    "verify",
    "report",
    "ls experiments",
)


def call(*words: str | Path, cwd: Path) -> str:
    """Runs a command without this checkout on its path, and returns its output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "VIRTUAL_ENV"))}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A folder with ``env``, a new environment, and ``dist``, wheel and sdist of the tracked files."""
    folder = tmp_path_factory.mktemp("wheel")
    env, source = folder / "env", folder / "source"
    venv.create(env, with_pip=True)
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=project, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():
        if name.startswith(("stableft/", "experiments/")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((project / name).read_bytes())
    call(sys.executable, "-c", BUILD, folder / "dist", cwd=source)
    return folder


def test_the_wheel_has_one_top_level_package_and_all_data(built: Path) -> None:
    (wheel,) = (built / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"stableft"}
    data = {
        "experiments/published.csv",
        "experiments/published_curves.csv",
        "experiments/thresholds.csv",
        "experiments/adam.py",
        "reporting/templates/report.css",
    }
    assert {f"stableft/{name}" for name in data} <= set(names)


def test_the_sdist_builds_the_same(built: Path) -> None:
    (sdist,) = (built / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(built / "unpacked", filter="data")
    (source,) = (built / "unpacked").iterdir()
    call(sys.executable, "-c", BUILD, built / "again", cwd=source)
    first, second = (zipfile.ZipFile(next((built / place).glob("*.whl"))).namelist() for place in ("dist", "again"))
    assert sorted(first) == sorted(second)


def test_it_works_from_an_empty_folder(built: Path, tmp_path: Path) -> None:
    """Other packages are those of the environment that runs the tests; its own stableft is not on the path."""
    python = built / "env" / "bin" / "python"
    (wheel,) = (built / "dist").glob("*.whl")
    call(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    where = call(python, "-c", "import stableft; print(stableft.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(site)
    for command in COMMANDS:
        call(built / "env" / "bin" / "stableft", *command.split(), cwd=tmp_path)
    assert (tmp_path / "figures" / "smoke" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "CLAIMS.md").is_file()
