"""Configuration of one fine-tuning run, a frozen value, and the run's identity derived from it."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from stableft.core.errors import UsageError, quoted
from stableft.core.own_data import OwnData
from stableft.core.technique import Frozen, PositiveInt, Seed, Technique, get_technique

# Raised when the same configuration starts to give another result.
# 2: dropout masks come from a stream of the run's own.
# 3: attention works on other groups, which changes the order of dropout's draws.
IDENTITY_SCHEMA = 3


class AdamConfig(Frozen):
    """AdamW with decoupled weight decay (Loshchilov & Hutter, 2019).

    Attributes:
        lr: Peak learning rate, > 0.
        betas: Decay rates of the two moments, each in [0, 1).
        eps: Added to the denominator, > 0. Zhang et al. use 1e-8, Mosbach et al. and BERT 1e-6.
        weight_decay: Decoupled, toward zero, not on biases and LayerNorm weights. 0 in Zhang et al.
        bias_correction: False leaves out both corrections from the first step on, as BERT's original
            optimizer does.
        eps_placement: ``v_hat``: added to the root of the *corrected* second moment (Kingma & Ba,
            Algorithm 1; torch). ``v``: added to the root of the raw one (Kingma & Ba's "epsilon hat";
            transformers 2.x with correction). Without correction the two are the same.
        lr_bias: After the schedule, the learning rate of step t is ``divided`` or ``multiplied`` by
            b(t) of `stableft.core.adam_bias.bias_ratio`. Up to epsilon, an uncorrected update with a
            divided rate equals a corrected one, and a corrected update with a multiplied rate an
            uncorrected one (protocol section 1.2). None: neither.
    """

    lr: Annotated[float, Field(gt=0)]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    bias_correction: bool = True
    eps_placement: Literal["v_hat", "v"] = "v_hat"
    lr_bias: Literal["divided", "multiplied"] | None = None


class ScheduleConfig(Frozen):
    """Linear warm-up from 0 and linear decay to 0; length in epochs or in steps.

    Attributes:
        num_epochs: Passes over the training examples; exactly one of this and ``num_steps`` is set.
        num_steps: Optimizer steps; data are repeated as needed.
        warmup_ratio: Share of all steps, in [0, 1]: int(ratio x steps) warm-up steps, as in Zhang et
            al. Exactly one of this and ``warmup_steps`` is set.
        warmup_steps: Number of warm-up steps.
    """

    num_epochs: PositiveInt | None = None
    num_steps: PositiveInt | None = None
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    warmup_steps: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise ValueError("set exactly one of num_epochs and num_steps")
        if (self.warmup_ratio is None) == (self.warmup_steps is None):
            raise ValueError("set exactly one of warmup_ratio and warmup_steps")
        return self


class EvaluationConfig(Frozen):
    """Steps of evaluation. The last step always evaluates all examples.

    Attributes:
        every: Steps between evaluations. Exactly one of this and ``num_points`` is set.
        num_points: Evaluates every num_steps // num_points steps. (Zhang et al. log 10 times per run; a
            remainder gives one point more.)
        num_examples: Points before the end use a fixed subset of that many validation examples,
            stratified by label and the same for every seed (rows of scope ``subset``). None: every
            point uses every example.
        test_points: The test split is evaluated at ``all`` points, as Zhang et al. log it, or only at
            the ``last``.
        start_epoch: The points above begin after that many epochs and are counted from there. Before,
            there is one at the end of each epoch (the CommonLit article: every 10 batches from
            epoch 2; protocol section 7, S2). None: they begin at the start.
    """

    every: PositiveInt | None = None
    num_points: PositiveInt | None = None
    num_examples: PositiveInt | None = None
    test_points: Literal["all", "last"] = "all"
    start_epoch: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_draft(cls, fields: Any) -> Any:
        """Drops the field ``draft``: configurations stored by earlier versions have it, unset."""
        if isinstance(fields, Mapping) and fields.get("draft", "absent") is None:
            return {name: value for name, value in fields.items() if name != "draft"}
        return fields

    @model_validator(mode="after")
    def _one_frequency(self) -> Self:
        if (self.every is None) == (self.num_points is None):
            raise ValueError("set exactly one of every and num_points")
        return self


class SurfaceConfig(Frozen):
    """The loss on a plane of weights (`stableft.training.surface`).

    The plane contains three points: the weights of step 0, and the last weights of this run and of
    another run. Both runs start from the same weights.

    Attributes:
        bias_correction: That of the other run; None: the same as this run's. The other run shares all
            settings not named here.
        lr: Peak learning rate of the other run, > 0; None: the same as this run's.
        resolution: Steps from 0, the start, to 1, an end, on either axis.
        margin: Steps beyond 0 and 1, >= 0. Each axis has resolution + 2 margin + 1 points, at most 180:
            results store the index of a point in 16 bits.
        num_examples: Training examples at each point, always the same; None: all training examples of
            the run.
    """

    bias_correction: bool | None = None
    lr: Annotated[float, Field(gt=0)] | None = None
    resolution: PositiveInt = 10
    margin: Annotated[int, Field(ge=0)] = 5
    num_examples: PositiveInt | None = None

    @model_validator(mode="after")
    def _few_points(self) -> Self:
        if (points := self.resolution + 2 * self.margin + 1) > 180:
            raise ValueError(f"resolution + 2 margin + 1 = {points} points on either axis; 180 at most")
        return self

    def coordinates(self) -> list[float]:
        """Returns the points of either axis, ascending; 0 and 1 are exact."""
        return [i / self.resolution for i in range(-self.margin, self.resolution + self.margin + 1)]

    def source_overrides(self) -> Mapping[str, Any]:
        """Returns the differences of the other run from this one, as dotted overrides."""
        given = {"adam.bias_correction": self.bias_correction, "adam.lr": self.lr}
        return {"surface": None, **{name: value for name, value in given.items() if value is not None}}


def _read_technique(value: object) -> object:
    """Returns a technique read from its JSON form, by its name."""
    if isinstance(value, Technique):
        return value
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError('write a technique as {"name": ..., and its fields}; `stableft ls techniques` names them')
    kind = get_technique(value["name"])
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ValueError(f"{kind.name}: {_reasons(error)}") from error


class RunConfig(Frozen):
    """All settings that decide the result of one run, and none that only decides its speed.

    Attributes:
        task: Name of a `stableft.tasks.Task`.
        encoder: Embedded name, folder or hub id. Not part of the identity: the fingerprint of its files
            is.
        head: The task head. ``linear``: dropout and one linear layer, on the pooled output or, for
            tagging, on each word's state. ``bilstm_crf``: dropout and `stableft.models.heads.BiLSTMCRF`
            on the words' states, for tagging alone.
        num_train: Number of training examples, drawn by the sample stream; None: all.
        seed: The replicate. The streams below derive from it unless they are set.
        sample_seed, init_seed, order_seed, dropout_seed, reinit_seed: Seeds of single streams, for
            studies with some of them fixed. In this order: training subset; head and other weights
            absent from the checkpoint; data order; dropout masks; re-initialized weights.
        batch_size: Sequences per optimizer step.
        max_length: Longest input in pieces; longer pairs are cut at the longer text's end.
        max_grad_norm: Global clipping norm; None: no clipping.
        dropout: Probability on hidden states, attention weights and the head's input, in [0, 1).
        precision: ``fp32``; ``bf16``: autocast with fp32 weights and optimizer state; ``tf32``: fp32,
            but a GPU computes products from operands rounded to 10 bits.
        techniques: Kept in order of stage, then name, each at most once; none at all is None.
        surface: After the last step, evaluate a plane of weights too. It changes nothing else. None: no
            plane.
        own_data: How a user's own file was read. Not part of the identity: the content is. None: the
            task is a registered one.
    """

    task: str
    encoder: str
    head: Literal["linear", "bilstm_crf"] = "linear"
    num_train: PositiveInt | None = None
    seed: Seed = 0
    sample_seed: Seed | None = None
    init_seed: Seed | None = None
    order_seed: Seed | None = None
    dropout_seed: Seed | None = None
    reinit_seed: Seed | None = None
    batch_size: PositiveInt
    max_length: Annotated[int, Field(ge=3, lt=2**31)] = 128
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    adam: AdamConfig
    schedule: ScheduleConfig
    evaluation: EvaluationConfig
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    techniques: tuple[Annotated[SerializeAsAny[Technique], BeforeValidator(_read_technique)], ...] | None = None
    surface: SurfaceConfig | None = None
    own_data: OwnData | None = None

    @field_validator("techniques")
    @classmethod
    def _in_order_of_stage(cls, techniques: tuple[Technique, ...] | None) -> tuple[Technique, ...] | None:
        names = [technique.name for technique in techniques or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"each technique at most once; more often: {', '.join(twice)}")
        for one in techniques or ():
            for other in one.excludes.keys() & set(names):
                raise ValueError(f"{one.name} and {other} exclude each other: {one.excludes[other]}")
        return tuple(sorted(techniques or (), key=lambda technique: (technique.stage, technique.name))) or None

    @model_validator(mode="after")
    def _has_a_plane(self) -> Self:
        if self.surface is None:
            return self
        if with_overrides(self, self.surface.source_overrides()).adam == self.adam:
            raise ValueError("surface: the other run is this one; give it another bias_correction or lr")
        if first := [technique.name for technique in self.techniques or () if technique.source_overrides() is not None]:
            raise ValueError(f"surface: not of a run that itself starts from another ({', '.join(first)})")
        return self

    def stream_seed(self, name: str) -> int:
        """Returns the seed of one named stream: its own if that is set, else the run's."""
        own = getattr(self, f"{name}_seed", None)
        return self.seed if own is None else own

    def sources(self) -> dict[str, "RunConfig"]:
        """Returns the runs whose last weights this one needs; most runs need none.

        Returns:
            Name of the technique, or ``surface``, -> the run that it needs.
        """
        needed = {technique.name: technique.source_overrides() for technique in self.techniques or ()}
        needed["surface"] = self.surface and self.surface.source_overrides()
        sources = {name: with_overrides(self, overrides) for name, overrides in needed.items() if overrides is not None}
        return {
            name: source if source.task == self.task else source.model_copy(update={"own_data": None})
            for name, source in sources.items()
        }


def canonical_json(value: object) -> str:
    """Returns JSON with sorted keys and no spaces; equal values give equal text on every platform.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def run_id(config: RunConfig, *, data: str, weights: str, sources: Sequence[str] = ()) -> str:
    """Returns the identity of a run: 16 hex digits of a SHA-256.

    It covers all scientific fields and the content that the run starts from. Unset fields are absent
    from the hashed text, so a new optional field leaves old identities as they are. The encoder's name
    or path is replaced by the content of its files, and what is known of a user's own file by its data.

    Args:
        config: The resolved configuration.
        data: Fingerprint of the task's data.
        weights: Fingerprint of the encoder's files.
        sources: Identities of the runs whose weights it needs (`RunConfig.sources`). Absent from the
            text if there are none.
    """
    fields = config.model_dump(mode="json", exclude_none=True, exclude={"encoder", "own_data"})
    content = {"schema": IDENTITY_SCHEMA, "config": fields, "data": data, "weights": weights}
    if sources:
        content["sources"] = list(sources)
    text = canonical_json(content)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_overrides(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """Returns a copy with dotted fields replaced, validated as a whole.

    Args:
        config: The base.
        overrides: Such as ``{"adam.lr": 1e-4}``.

    Raises:
        UsageError: an unknown field, or an impossible configuration.
    """
    tree = config.model_dump()
    for dotted, value in overrides.items():
        *path, leaf = dotted.split(".")
        node: Any = tree
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or leaf not in node:
            raise UsageError(f"unknown configuration field {quoted(dotted)};{_meant(dotted)} known: {', '.join(field_names())}")
        node[leaf] = value
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise UsageError(f"impossible configuration: {_reasons(error)}") from error


def _meant(dotted: str) -> str:
    """Returns a hint at fields that end in the same name or have a similar spelling, or no text."""
    known = field_names()
    near = [name for name in known if name.endswith(f".{dotted}")] or difflib.get_close_matches(dotted[:80], known, n=1, cutoff=0.8)
    return f" did you mean {', '.join(near)}?" if near else ""


def _reasons(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors())


def field_names(model: type[BaseModel] = RunConfig, prefix: str = "") -> list[str]:
    """Returns all dotted field names of a configuration, in order of declaration."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += field_names(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names
