"""Protocols: the named scales of all experiments, from seconds to a GPU.

Every number has its source next to it; section numbers refer to protocol.md of the sources.

``smoke``   seconds: a random tiny BERT on a toy task; tests the installation, not BERT.
``laptop``  minutes on 2 cores: pre-trained MiniLM-L6, two real-text tasks without download.
``small``   hours on 2 cores: the real RTE and TNEWS-1k with small encoders.
``paper``   a GPU: BERT-large on RTE as in Zhang et al., BERT-base-chinese on TNEWS as in the TNEWS
            note.
"""

from collections.abc import Mapping

from stableft.core.config import AdamConfig, EvaluationConfig, RunConfig, ScheduleConfig
from stableft.core.grid import Protocol

# Zhang et al., section 3 and released code (protocol section 2.1): batch 32, 3 epochs, 10 % linear
# warm-up then linear decay to 0, clipping at global norm 1, no weight decay, epsilon 1e-8, dropout
# 0.1, length 128, about 10 evaluations.
RTE = RunConfig(
    task="rte",
    encoder="bert-large-uncased",
    batch_size=32,
    max_length=128,
    max_grad_norm=1.0,
    dropout=0.1,
    adam=AdamConfig(lr=2e-5, eps=1e-8, weight_decay=0.0),
    schedule=ScheduleConfig(num_epochs=3, warmup_ratio=0.1),
    evaluation=EvaluationConfig(num_points=10),
)
# The TNEWS note (protocol section 7, S0): 1,000 titles, batch 16, length 128, lr 2e-5, 10 epochs,
# an evaluation every 10 steps. It does not mention warm-up, clipping, epsilon and weight decay:
# these are from Zhang et al., because the note tests their claims.
TNEWS = RTE.model_copy(
    update={
        "task": "tnews50k",
        "encoder": "bert-base-chinese",
        "batch_size": 16,
        "schedule": ScheduleConfig(num_epochs=10, warmup_ratio=0.1),
        "evaluation": EvaluationConfig(every=10),
    }
)

# Mosbach et al., section 4 and released configurations (protocol section 5.1): batch 16, weight decay
# 0.01, epsilon 1e-6 added to the root of the raw second moment, fp32, the whole development set. They
# evaluate three times an epoch, and at its end; here 10 times a run, as elsewhere.
MOSBACH = RTE.model_copy(
    update={
        "task": "rte_dev",
        "batch_size": 16,
        "adam": AdamConfig(lr=2e-5, eps=1e-6, eps_placement="v", weight_decay=0.01),
    }
)


# The CommonLit article and its notebooks (protocol section 7, S2): roberta-base, batch 16, length
# 250, 15 epochs, weight decay 0.01, transformers' AdamW with its defaults (epsilon 1e-6, added to
# the root of the raw second moment: at paper; the smaller scales have torch's placement); no
# clipping is mentioned there. The rate is that of head and pooler. An evaluation after every epoch.
# `experiments.article` has the settings of the article's basic variant.
COMMONLIT = RunConfig(
    task="commonlit0",
    encoder="roberta-base",
    batch_size=16,
    max_length=250,
    max_grad_norm=None,
    dropout=0.1,
    adam=AdamConfig(lr=3.6e-6, eps=1e-6, weight_decay=0.01),
    schedule=ScheduleConfig(num_epochs=15, warmup_steps=0),
    evaluation=EvaluationConfig(num_points=15),
)
# The head-rate article and its code (protocol section 7, S3): encoder lr 5e-5 (or 3e-5, 2e-5), 2 to
# 4 epochs, warm-up 5 %, weight decay 0.01, BERT's epsilon 1e-6, clipping at 1. Its batches of 7 are
# for texts of 512 pieces.
ENTITIES = RunConfig(
    task="cluener",
    encoder="bert-base-chinese",
    head="bilstm_crf",
    batch_size=16,
    max_length=512,
    max_grad_norm=1.0,
    dropout=0.1,
    adam=AdamConfig(lr=5e-5, eps=1e-6, weight_decay=0.01),
    schedule=ScheduleConfig(num_epochs=3, warmup_ratio=0.05),
    evaluation=EvaluationConfig(num_points=3),
)


TRANSFORMERS_ADAM = COMMONLIT.adam.model_copy(update={"eps_placement": "v"})

GLUE_SMALL = ("rte", "mrpc", "stsb", "cola")
GLUE_DEV = ("rte_dev", "mrpc_dev", "cola_dev")
GLUE_1K = tuple(f"{name}_1k" for name in (*GLUE_SMALL, "sst2", "qnli", "qqp", "mnli"))


def _with(base: RunConfig, lr: float | None = None, **changes: object) -> RunConfig:
    adam = base.adam if lr is None else base.adam.model_copy(update={"lr": lr})
    return base.model_copy(update={"adam": adam} | changes)


TOY = _with(RTE, 3e-3, task="toy", encoder="tiny-random", batch_size=8, max_length=32, evaluation=EvaluationConfig(every=4))
SMOKE = Protocol(
    name="smoke",
    summary="seconds, any machine: tiny random BERT, toy task; for tests",
    configs={
        "toy": TOY,
        "toyscore": TOY.model_copy(update={"task": "toyscore"}),
        "toytag": TOY.model_copy(update={"task": "toytag", "head": "bilstm_crf"}),
    },
    tasks=("toy",),
    seeds=range(2),
    learning_rates=(1e-3, 3e-3),
)

# Learning rates: docs15 and docpair have the rate with the best mean validation score of the
# corrected arm in lr_grid.py. There is no such grid on docread and doccode, so they have docpair's
# rate (head_lr.py compares several on doccode). Three reductions let ten seeds of two arms take ten
# minutes: docs15 has 3 epochs instead of TNEWS's 10; docpair trains on the same 1,000 of its 2,490
# examples in every run, as Zhang et al. cut larger sets to 1k; evaluations before the end use 200
# and 100 fixed examples.
LAPTOP = Protocol(
    name="laptop",
    summary="minutes on 2 cores, no download: MiniLM-L6 on docs15 (like TNEWS-1k) and docpair (like RTE)",
    configs={
        "docs15": _with(
            TNEWS,
            5e-4,
            task="docs15",
            encoder="minilm-l6",
            schedule=ScheduleConfig(num_epochs=3, warmup_ratio=0.1),
            evaluation=EvaluationConfig(num_points=10, num_examples=200),
        ),
        "docpair": _with(
            RTE,
            2e-4,
            task="docpair",
            encoder="minilm-l6",
            num_train=1000,
            sample_seed=0,
            evaluation=EvaluationConfig(num_points=10, num_examples=100, test_points="last"),
        ),
        "docread": _with(
            COMMONLIT,
            2e-4,
            task="docread",
            encoder="minilm-l6",
            max_length=128,
            schedule=ScheduleConfig(num_epochs=5, warmup_steps=0),
            evaluation=EvaluationConfig(num_points=5, test_points="last"),
        ),
        "doccode": _with(
            ENTITIES,
            2e-4,
            task="doccode",
            encoder="minilm-l6",
            max_length=128,
            evaluation=EvaluationConfig(num_points=3, test_points="last"),
        ),
    },
    tasks=("docs15", "docpair"),
    seeds=range(10),
    learning_rates=(2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3),
)

# Learning rates are chosen as at laptop: five on rte and tnews, corrected arm, three seeds.
SMALL = Protocol(
    name="small",
    summary="hours on 2 cores, real data: RTE with MiniLM-L6, TNEWS-1k with a Chinese BERT of 4 x 512",
    configs={
        **{task: _with(RTE, 1e-4, task=task, encoder="minilm-l6") for task in ("rte", "rte_1k")},
        "rte_dev": _with(MOSBACH, 1e-4, encoder="minilm-l6"),
        "tnews": _with(TNEWS, 5e-5, task="tnews", encoder="bert-4x512-zh", evaluation=EvaluationConfig(every=10, num_examples=200)),
        "commonlit0": _with(
            COMMONLIT,
            2e-4,
            encoder="minilm-l6",
            num_train=500,
            sample_seed=0,
            schedule=ScheduleConfig(num_epochs=4, warmup_steps=0),
            evaluation=EvaluationConfig(num_points=4),
        ),
        "resume_ner": _with(ENTITIES, 2e-4, task="resume_ner", encoder="bert-4x512-zh", num_train=1000, sample_seed=0),
    },
    tasks=("rte", "tnews"),
    seeds=range(3),
    learning_rates=(1e-5, 2e-5, 5e-5, 1e-4, 2e-4),
)

PAPER = Protocol(
    name="paper",
    summary="a GPU: BERT-large on RTE (Zhang et al.), BERT-base-chinese on TNEWS 1k/47k (TNEWS note)",
    configs={
        **{task: RTE.model_copy(update={"task": task}) for task in (*GLUE_SMALL, *GLUE_1K)},
        "tnews50k": TNEWS,
        **{task: MOSBACH.model_copy(update={"task": task}) for task in GLUE_DEV},
        **{f"commonlit{fold}": _with(COMMONLIT, task=f"commonlit{fold}", adam=TRANSFORMERS_ADAM) for fold in range(5)},
        **{task: ENTITIES.model_copy(update={"task": task}) for task in ("cluener", "resume_ner")},
    },
    tasks=(*GLUE_SMALL, "tnews50k"),
    seeds=range(50),
    learning_rates=(1e-5, 2e-5, 3e-5),  # Mosbach et al.'s
)

PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in (SMOKE, LAPTOP, SMALL, PAPER)}
