"""The files around the package: they must not drift apart."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from stableft.models.encoders import EMBEDDED


def locked(project: Path, name: str = "requirements.lock") -> dict[str, str]:
    lines = (project / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_conda_and_pip_users_get_the_same_versions(project: Path):
    environment = yaml.safe_load((project / "environment.yml").read_text(encoding="utf-8"))
    python, *_, pip = (d for d in environment["dependencies"] if d not in ("pip", "make"))
    assert pip == {"pip": ["-r requirements.lock"]}  # one list of versions, not two
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert python.removeprefix("python=") == settings["project"]["requires-python"].removeprefix(">=")


def test_the_lock_pins_every_declared_dependency_once(project: Path):
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*settings["dependencies"], *(d for extra in settings["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[<>=\[]", dependency)[0].lower().replace("_", "-") for dependency in declared}
    lists = [locked(project), locked(project, "docs/requirements.txt")]  # `make docs` alone needs the second
    pinned = [name.lower().replace("_", "-") for versions in lists for name in versions]
    assert names <= set(pinned)
    assert len(pinned) == len(set(pinned))
    assert {name for name in names if name.startswith("mkdocs")} == names - {name.lower().replace("_", "-") for name in lists[0]}
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for versions in lists for version in versions.values())


def test_installed_versions_are_the_locked_ones(project: Path):
    import importlib.metadata

    for name, version in {**locked(project), **locked(project, "docs/requirements.txt")}.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        assert found.split("+")[0] == version, name


def test_makefile_and_encoders_name_the_same_weight_packages(project: Path):
    text = (project / "Makefile").read_text(encoding="utf-8")
    for spec in EMBEDDED.values():
        assert f"{spec.distribution}=={spec.version}" in text


def test_make_help_lists_every_target_in_one_line(project: Path):
    text = (project / "Makefile").read_text(encoding="utf-8")
    targets = {name for name in re.findall(r"^([a-z][a-z%-]*):", text, flags=re.MULTILINE)}
    shown = subprocess.run(["make", "help"], cwd=project, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  make (\S+) +\S", shown, flags=re.MULTILINE)
    assert set(listed) == targets
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("variables", "command"),
    [
        ((), "-m stableft run adam --protocol laptop --results results --device cpu"),
        (
            (
                "SEEDS=0-49",
                "TASKS=docs15",
                "ARMS=corrected",
                "JOBS=4",
                "PROTOCOL=small",
                "RESULTS=out",
                "ENCODER=x/y",
                "DEVICE=cuda",
            ),
            "-m stableft run adam --protocol small --results out --seeds 0-49 --tasks docs15 --arms corrected --encoder x/y"
            " --device cuda --jobs 4",
        ),
        (
            ("GPUS=0,1", "PER_GPU=3"),
            "-m stableft run adam --protocol laptop --results results --device cuda --gpus 0,1 --per-gpu 3",
        ),
    ],
)
def test_every_variable_reaches_the_command_that_make_prints(project: Path, variables: tuple[str, ...], command: str):
    shown = subprocess.run(["make", "-n", "ablation-adam", *variables], cwd=project, capture_output=True, text=True, check=True)
    assert command in " ".join(shlex.split(shown.stdout))


def test_variables_may_hold_spaces_and_quotes(project: Path, tmp_path: Path):
    venv = tmp_path / "my env"
    venv.mkdir()
    (venv / ".stableft-ready").touch()
    values = {
        "RESULTS": "my results", "TASKS": "csv:my file.csv", "ENCODER": "/a b/x", "ARMS": "first docs15,it's", "SEEDS": "0-3",
        "VENV": str(venv), "FIGURES": "~/f g",
    }  # fmt: skip
    texts = [f"{name}={value}" for name, value in values.items()]

    def typed(target: str, *more: str) -> list[list[str]]:
        shown = subprocess.run(["make", "-n", target, *texts, *more], cwd=project, capture_output=True, text=True, check=True)
        return [shlex.split(line) for line in shown.stdout.replace("\\\n", " ").splitlines() if "stableft" in line]

    python, chosen = str(venv / "bin/python"), ["--tasks", "csv:my file.csv", "--arms", "first docs15,it's", "--encoder", "/a b/x"]
    grid = ["-m", "stableft", "status", "adam", "--protocol", "laptop", "--results", "my results", "--seeds", "0-3", *chosen]
    assert typed("status-adam") == [[python, *grid]]
    drawn = ["--results", "my results", "--figures", "~/f g"]
    assert typed("figures") == [[python, "-m", "stableft", "figures", *drawn]]
    assert drawn == [word for word in typed("report")[0] if word in drawn]
    assert typed("verify") == [[python, "-m", "stableft", "verify", "--results", "my results"]]
    assert typed("figures", "FIGURES=")[0][-2:] == ["--results", "my results"], "the place of figures follows the results"
    built = subprocess.run(["make", "-n", "setup", "VENV=~/no such env"], cwd=project, capture_output=True, text=True, check=True)
    assert f"-m venv '{Path.home()}/no such env'" in built.stdout


def test_no_data_and_no_hosts_are_committed(project: Path):
    files = subprocess.run(["git", "ls-files"], cwd=project, capture_output=True, text=True)
    if files.returncode != 0:
        pytest.skip("not a git checkout")
    names = files.stdout.splitlines()
    assert not [name for name in names if name.endswith((".tsv", ".bmes", ".safetensors", ".bin"))]
    assert not [name for name in names if name.startswith("results/runs/")]
    assert ".venv" not in names  # nor a link of that name, for which a checkout would delete the environment that is there


def test_git_keeps_the_images_that_a_document_shows_and_no_others(project: Path):
    pages = [*project.glob("*.md"), *(project / "docs").rglob("*.md")]
    shown = {
        path for page in pages for path in re.findall(r"!\[.*?\]\((?:\.\./)*(figures/\S+?)\)", page.read_text(encoding="utf-8"))
    }
    lines = (project / ".gitignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!figures/")}
    assert kept == {str(Path(path).with_suffix(suffix)) for path in shown for suffix in (".png", ".svg")}
    others = {"figures/laptop/report.html", "figures/laptop/adam/best_of.svg", "figures/small/adam/score.pdf"}
    numbers = {"figures/small/adam/score.csv", "figures/small/adam/score.txt", "figures/small/adam/arms.tex"}
    asked = ["git", "check-ignore", "--no-index", *kept, *others, *numbers]
    answer = subprocess.run(asked, cwd=project, capture_output=True, text=True)
    if answer.returncode not in (0, 1):
        pytest.skip("not a git checkout")
    assert set(answer.stdout.splitlines()) == others


@pytest.mark.parametrize("there", [False, True])
def test_a_browser_is_installed_where_none_is(project: Path, tmp_path: Path, there: bool) -> None:
    """With tools that only write down how they are called; an empty CHROMIUM is no browser."""
    for name in ("make", "sh", "id"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    calls = tmp_path / "calls"
    for name in ("apt-get", "sudo", *(["chromium"] if there else [])):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": str(tmp_path), "CHROMIUM": ""}
    done = subprocess.run(["make", "setup-browser"], cwd=project, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert calls.exists() is not there
    assert there or "chromium-headless-shell" in calls.read_text(encoding="utf-8")


def test_the_workflow_runs_what_the_readme_says_on_the_oldest_and_the_newest_python(project: Path) -> None:
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]["requires-python"]
    assert job["strategy"]["matrix"]["python"] == [declared.removeprefix(">="), "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_the_image_runs_as_a_user_and_starts_targets_that_exist(project: Path) -> None:
    lines = (project / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    targets = re.findall(r"^([a-z][a-z-]*):", (project / "Makefile").read_text(), re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")
    assert lines[-2:] == ['ENTRYPOINT ["make"]', 'CMD ["smoke"]']
    assert {"smoke", "setup"} <= set(targets)
    assert lines[[line.startswith("FROM") for line in lines].index(True)].endswith("3.11-slim")
