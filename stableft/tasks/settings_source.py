"""Settings source: the task of a protocol whose settings a user's own task gets.

It is of the same kind (classes, scores or tags), then of the language of the texts, then alike in
having text pairs or single texts. Among equals the experiment's own tasks come first.
"""

from collections.abc import Sequence
from itertools import islice

from stableft.tasks.task import Task, TaskData

KINDS = {"classification": "classes", "regression": "scores", "tagging": "tags"}
LANGUAGES = {"en": "English", "zh": "Chinese"}
ENOUGH = 500  # examples that tell a language


def settings_source(task: Task, data: TaskData, known: Sequence[Task]) -> tuple[str, str]:
    """Returns the name of the task whose settings a user's task gets, and the reason.

    Args:
        task: The user's task.
        data: Its data.
        known: The protocol's tasks, those of the experiment first; at least one.
    """
    language = language_of(data)

    def unlike(other: Task) -> tuple[bool, bool, bool]:
        return other.kind != task.kind, other.language != language, other.pairs != task.pairs

    chosen = min(known, key=unlike)
    kind, other_language, pairs = unlike(chosen)
    differs = [KINDS[chosen.kind]] if kind else []
    differs += [f"{LANGUAGES.get(chosen.language, chosen.language)}, not {LANGUAGES[language]}"] if other_language else []
    differs += ["text pairs" if chosen.pairs else "single texts"] if pairs else []
    wanted = f"{'text pairs' if task.pairs else 'texts'} with {KINDS[task.kind]}"
    return chosen.name, f"for {wanted}" if not differs else f"the nearest to {wanted}; it has {', '.join(differs)}"


def language_of(data: TaskData) -> str:
    """Returns ``zh`` if most letters are Chinese characters, else ``en``."""
    texts = (part for example in islice(data.train, ENOUGH) for part in example.row[:2])
    letters = [c for part in texts for text in ([part] if isinstance(part, str) else part or ()) for c in str(text) if c.isalpha()]
    chinese = sum("\u3400" <= c <= "\u9fff" or "\U00020000" <= c <= "\U0003ffff" for c in letters)
    return "zh" if 2 * chinese > len(letters) else "en"
