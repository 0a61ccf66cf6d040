"""Examples: commands as one types them, shown below each command's ``--help``."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "plan": ("plan adam", "plan adam --protocol small --seeds 0-9", "plan adam --until-decided"),
    "run": (
        "run adam",
        "run reinit --seeds 0-19 --arms standard,pooler --jobs 2",
        "run adam --tasks csv:reviews.csv --label sentiment",
        "run my_experiment.py --plugin my_technique.py",
    ),
    "try": (
        "try reinit:num_layers=2 --tasks docpair --seeds 0-9",
        "try mixout:p=0.5+dropout=0 --against dropout=0",
        "try my_technique:factor=0.1 --plugin my_technique.py --redo changed",
    ),
    "new": ("new technique my_technique", "new experiment my_experiment --folder work"),
    "retry": ("retry adam", "retry adam --only oom,timeout --jobs 1"),
    "status": ("status adam", "status adam --protocol small --watch"),
    "failures": ("failures", "failures adam --protocol small"),
    "logs": ("logs 4f21", "logs adam"),
    "gc": ("gc", "gc --runs --yes"),
    "recommend": ("recommend reviews.csv", "recommend reviews.csv --text Review --label Sentiment --minutes 20 --save model"),
    "figures": ("figures", "figures adam --protocol laptop"),
    "tables": ("tables", "tables adam reinit"),
    "report": ("report", "report --protocol laptop"),
    "trace": ("trace figures/laptop/adam/arms.csv",),
    "show": ("show 4f21",),
    "export": ("export 4f21 model",),
    "predict": ("predict model new.csv --out answers.csv",),
    "compare": ("compare results mine", "compare results mine --protocol laptop --strict"),
    "import": ("import theirs.csv --as theirs",),
    "verify": ("verify", "verify adam --protocol laptop"),
    "ls": ("ls", "ls techniques mixout", "ls settings", "ls tasks"),
    "doctor": ("doctor", "doctor --determinism"),
    "data check": ("data check rte", "data check reviews.csv --text Review --label Sentiment"),
    "data fetch": ("data fetch rte",),
}


def epilog(name: str) -> str:
    """Returns the examples of a command for its ``--help``; none may be wrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  python -m stableft {example}" for example in EXAMPLES[name])
