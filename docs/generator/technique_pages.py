"""Technique pages: the card of each technique, with its settings."""

from docs.generator.reference_pages import kind_of
from docs.generator.text import table, to_markdown
from stableft.core.technique import Technique, all_techniques


def technique_pages() -> dict[str, str]:
    """Returns the card of each technique, by path in the site."""
    return {f"techniques/{name}.md": card(kind) for name, kind in all_techniques().items()}


def card(kind: type[Technique]) -> str:
    """Returns a technique's card as a page."""
    summary = (kind.__doc__ or "").strip().split("\n\n")[0]
    settings = [
        [f"`{name}`", kind_of(field.annotation), "required" if field.is_required() else f"`{field.default}`"]
        for name, field in kind.model_fields.items()
    ]
    parts = [
        f"# {kind.name}",
        f"**{to_markdown(summary, '../protocol.md')}**",
        f"    python -m stableft run adam --arms corrected --results out \\\n      --set 'techniques=[{example(kind)}]'",
        f"Stage: {kind.stage.name.lower()}. " + excluded(kind),
        table(["setting", "type", "default"], settings),
        *(f"## {label}\n\n{to_markdown(text, '../protocol.md')}" for label, text in kind.card().items()),
    ]
    return "\n\n".join(parts) + "\n"


def example(kind: type[Technique]) -> str:
    """Returns the JSON of a technique that changes something: its required settings, without values."""
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    return "{" + ", ".join([f'"name": "{kind.name}"', *(f'"{name}": ...' for name in required)]) + "}"


def excluded(kind: type[Technique]) -> str:
    """Returns the techniques with which one can't be combined, and why."""
    others = dict(kind.excludes) | {
        other.name: other.excludes[kind.name] for other in all_techniques().values() if kind.name in other.excludes
    }
    if not others:
        return "It can be combined with every other technique."
    return "Not together with " + "; ".join(f"[{name}]({name}.md) ({why})" for name, why in others.items()) + "."
