"""Experiment pages: question, figure, verdicts, findings and command of each experiment."""

from pathlib import Path
from types import ModuleType

from docs.generator.matrix import ROOT, ClaimRow, read_matrix
from docs.generator.text import paragraphs, table, to_markdown
from stableft.core.experiments import all_experiments
from stableft.reporting.lead_figures import lead
from stableft.reporting.report import FigureReport, makes_one_of

RESULTS, FIGURES = ROOT / "results", ROOT / "figures"
MAIN_TABLES = ("arms", "scores", "learning_rate_table", "seed_table", "bias_table")
SCALES = ("laptop", "replication", "small", "paper")


def experiment_pages() -> dict[str, str]:
    """Returns the page of each experiment and their index, by path in the site."""
    rows = read_matrix()
    modules = all_experiments()
    pages = {f"experiments/{name}.md": page(name, module, rows) for name, module in modules.items()}
    listed = [
        [f"[{name}]({name}.md)", to_markdown(title(module), "../protocol.md"), ", ".join(scales(name))]
        for name, module in modules.items()
    ]
    head = "# Experiments\n\n`make ablation-NAME` runs one. What all of them found: [the evidence](../evidence.md).\n\n"
    return {"experiments/index.md": head + table(["experiment", "question", "results at"], listed), **pages}


def title(module: ModuleType) -> str:
    """Returns the question of an experiment, the first line of its docstring."""
    return (module.__doc__ or "").strip().splitlines()[0]


def scales(name: str) -> list[str]:
    """Returns the scales at which an experiment has committed results."""
    return [scale for scale in SCALES if (RESULTS / scale / name / "runs.parquet").is_file()]


def figures_of(module: ModuleType) -> list[str]:
    """Returns the names of the figures in an experiment's report."""
    return [stem for stem, item in module.REPORT.items() if makes_one_of(item, (FigureReport,))]


def telling_figure(name: str) -> tuple[str, str] | None:
    """Returns scale and name of the figure on an experiment's page; None without results."""
    module = all_experiments().get(name)
    figure = lead(module, figures_of(module)) if module else ""
    places = [scale for scale in scales(name) if (FIGURES / scale / name / f"{figure}.txt").is_file()]
    return (places[0], figure) if places else None


def figure_file(name: str) -> str | None:
    """Returns the path of that figure in the site; None without results."""
    told = telling_figure(name)
    return f"experiments/figures/{told[0]}-{name}-{told[1]}.png" if told else None


def page(name: str, module: ModuleType, rows: dict[str, ClaimRow]) -> str:
    """Returns the page of one experiment."""
    described = paragraphs(module.__doc__ or "")[1:]
    where = f"There are results at {', '.join(scales(name))}." if scales(name) else "There are no results yet."
    parts = [
        f"# {name}",
        f"**{title(module)}**",
        *(to_markdown(text[:1].upper() + text[1:], "../protocol.md") for label, text in described if label == "Question"),
        f"    make ablation-{name}",
        f"`make plan-{name}` says how long that takes here. {where}",
        *shown(name),
        *sections([part for part in described if part[0].startswith("Found")]),
        "## Verdicts",
        verdicts(name, rows),
        "Signs, tests and thresholds: [claims](../CLAIMS.md).",
        *sections([part for part in described if part[0] != "Question" and not part[0].startswith("Found")]),
        *numbers(name),
        "## Figures and tables",
        artifacts(name, module),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def shown(name: str) -> list[str]:
    """Returns the figure of an experiment's page, with its caption."""
    if (told := telling_figure(name)) is None:
        return []
    scale, figure = told
    caption = (FIGURES / scale / name / f"{figure}.txt").read_text(encoding="utf-8").strip()
    lead, _, rest = caption.partition(". ")
    return [
        f"![{figure}](figures/{scale}-{name}-{figure}.png)",
        f"*{escaped(lead.rstrip('.'))}.* (`figures/{scale}/{name}/{figure}`)",
        folded("How to read this figure", escaped(rest)),
    ]


def sections(described: list[tuple[str, str]]) -> list[str]:
    """Returns paragraphs of a docstring under their labels."""
    texts = [to_markdown(text[:1].upper() + text[1:], "../protocol.md") for _, text in described]
    return [(f"## {label}\n\n" if label else "") + text for (label, _), text in zip(described, texts, strict=True)]


def verdicts(name: str, rows: dict[str, ClaimRow]) -> str:
    """Returns the rows of the matrix for one experiment, without empty columns."""
    own = {anchor: row for anchor, row in rows.items() if anchor.split("-")[0] == name}
    if not own:
        return "No claim of a source is tested by this experiment."
    columns = [column for column in next(iter(own.values())).cells if any(row.cells[column] for row in own.values())]
    lines = [[f"[{row.statement}](../CLAIMS.md#{anchor})", *(row.cells[c] for c in columns)] for anchor, row in own.items()]
    return table(["claim", *columns], lines)


def numbers(name: str) -> list[str]:
    """Returns the main table of an experiment at each scale, with its note folded."""
    parts = []
    for scale in scales(name):
        folder = FIGURES / scale / name
        path = next((folder / f"{stem}.md" for stem in MAIN_TABLES if (folder / f"{stem}.md").is_file()), None)
        if path is not None:
            rows, _, note = path.read_text(encoding="utf-8").partition("\n\n")
            parts += [f"## Numbers at {scale}", rows, folded("How to read this table", note.strip())]
    return parts


def artifacts(name: str, module: ModuleType) -> str:
    """Returns the list of figures and tables of an experiment, and how to make and trace them."""
    figures = [f"`{stem}`" for stem in figures_of(module)]
    tables = [f"`{stem}`" for stem in module.REPORT if f"`{stem}`" not in figures]
    told = telling_figure(name)
    commands = [f"figures {name}", f"tables {name}", f"verify {name}"]
    commands += [f"trace figures/{told[0]}/{name}/{told[1]}.png"] if told else []
    listed = "\n".join(f"    python -m stableft {command}" for command in commands)
    return f"Figures: {', '.join(figures)}.\n\nTables: {', '.join(tables)}.\n\n{listed}"


def folded(summary: str, text: str) -> str:
    """Returns a text that a click opens; nothing for no text."""
    return f'??? note "{summary}"\n\n    ' + text.replace("\n", "\n    ") if text else ""


def escaped(text: str) -> str:
    """Returns a caption with the signs that Markdown would read."""
    return text.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


def draw(name: str, folder: Path) -> Path | None:
    """Draws the figure of an experiment's page.

    Args:
        name: Name of the experiment.
        folder: Folder to write to.

    Returns:
        The image; None without results.
    """
    from stableft.reporting.pooling import load_pooled
    from stableft.reporting.report import render
    from stableft.storage.store import Store

    if (told := telling_figure(name)) is None:
        return None
    scale, figure = told
    results = load_pooled(Store(RESULTS), scale, name)
    paths = render(figure, all_experiments()[name].REPORT[figure], results, folder / scale / name, (FigureReport,))
    return next(path for path in paths if path.suffix == ".png")
