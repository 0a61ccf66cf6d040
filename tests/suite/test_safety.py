"""What no module of the package does: run text as code, unpickle, start a shell, trust a model's own code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BANNED_IMPORTS = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "yaml",
    "code",
    "codeop",
    "runpy",
    "xmlrpc",
    "telnetlib",
}
BANNED_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "joblib.load",
    "joblib.dump",
    "pd.read_pickle", "pandas.read_pickle", "tempfile.mktemp", "jinja2.Template", "Template", "importlib.reload",
}  # fmt: skip
REQUIRED = {  # what a call must say
    "torch.load": ("weights_only", True),
    "torch.hub.load": ("trust_repo", False),
    "jinja2.Environment": ("autoescape", True),
    "AutoModel.from_pretrained": ("weights_only", True),
}
FORBIDDEN = {
    "shell": True,
    "allow_pickle": True,
    "trust_remote_code": True,
    "weights_only": False,
    "autoescape": False,
    "verify": False,
}
# Which may import by a name: names of this package and of experiments; and plug-ins, which the user names to be run. No other
# thing that a user or a file says.
IMPORTERS = {"stableft/core/experiments.py", "stableft/core/registry.py", "stableft/core/plugins.py"}


def name_of(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def complaints(tree: ast.AST, path: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{path}:{node.lineno} imports {name}" for name in names if name.split(".")[0] in BANNED_IMPORTS)
        if not isinstance(node, ast.Call):
            continue
        name, options = name_of(node.func), {word.arg: word.value for word in node.keywords}
        values = {key: value.value for key, value in options.items() if isinstance(value, ast.Constant)}
        if name in BANNED_CALLS or name.endswith((".read_pickle", ".to_pickle", ".unsafe_load")):
            yield f"{path}:{node.lineno} calls {name}"
        if name == "importlib.import_module" and path not in IMPORTERS:
            yield f"{path}:{node.lineno} imports by name"
        if name in REQUIRED and values.get(REQUIRED[name][0]) != REQUIRED[name][1]:
            yield f"{path}:{node.lineno} calls {name} without {REQUIRED[name][0]}={REQUIRED[name][1]}"
        for key, value in options.items():
            if key in FORBIDDEN and (key not in values or values[key] == FORBIDDEN[key]):
                yield f"{path}:{node.lineno} says {key}={ast.unparse(value)}"
        if name.startswith("Auto") and name.endswith(".from_pretrained") and "OURS" not in ast.unparse(node):
            yield f"{path}:{node.lineno} loads without OURS"


def test_the_package_does_none_of_it(project: Path) -> None:
    files = [path for folder in ("stableft", "experiments") for path in (project / folder).rglob("*.py")]
    assert len(files) > 100
    found = [c for path in files for c in complaints(ast.parse(path.read_text("utf-8")), path.relative_to(project).as_posix())]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from yaml import load", "eval('1')", "subprocess.run('x', shell=True)", "np.load(f, allow_pickle=True)",
        "torch.load(f)", "torch.load(f, weights_only=False)", "AutoModel.from_pretrained(f, **OURS)",
        "AutoConfig.from_pretrained(f)",
        "AutoTokenizer.from_pretrained(f, trust_remote_code=asked)", "jinja2.Environment()", "importlib.import_module(x)",
        "pd.read_pickle(f)",
    ],
)  # fmt: skip
def test_it_would_be_found(code: str) -> None:
    assert list(complaints(ast.parse(code), "x.py"))


def test_loading_never_trusts_a_folders_code() -> None:
    from stableft.models.loading import OURS

    assert OURS == {"local_files_only": True, "trust_remote_code": False}


def test_nothing_enters_a_page_unescaped(project: Path) -> None:
    """Figures are images, whose address is text like any other."""
    templates = "".join(path.read_text("utf-8") for path in (project / "stableft" / "reporting" / "templates").glob("*.j2"))
    assert re.findall(r"\{\{[^}]*\|\s*safe[^}]*\}\}", templates) == []
    assert not re.search(r"\|\s*safe\b|Markup", templates)
    assert "autoescape false" not in templates
