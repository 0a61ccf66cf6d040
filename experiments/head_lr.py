"""Does a randomly initialised head need a learning rate of its own?

Question: the head-rate article, on entity recognition, trains BERT at 5e-5 and its BiLSTM-CRF head
at 1e-4. Is that better than one learning rate for both? At which rates, and for how many epochs?

Source: head-rate article and its code (protocol section 7, S3): encoder 5e-5, 3e-5 or 2e-5, head
1e-4, 2 to 4 epochs. It publishes no comparison, so there is nothing to reproduce: the question is
ours.

Prediction: if the encoder's rate is small and epochs are few, the head limits the score and a rate
of its own helps. With larger rates and more epochs the difference disappears.

Found (laptop): as predicted, on doccode with 3 seeds (so p is never below 0.25). Entity F1 with one
rate and with two: encoder at 5e-5, 2 epochs 0.431 and 0.682, 4 epochs 0.709 and 0.762; at 1e-4
0.680 and 0.729, 0.759 and 0.783; at 2e-4 0.736 and 0.757, 0.780 and 0.787. The head's rate helps in
all nine settings: most if steps are few and small, and hardly at the best setting. A larger rate
for both helps more than a second rate. With the article's pair, 5e-5 and 1e-4, the same and less of
it: 0.599 after 2 epochs, 0.686 after 3 (one rate: 0.650), 0.722 after 4.

Found (small): the same on ResumeNER with the Chinese BERT of 4 blocks, 3 epochs, ONE seed, so no
more than an example: entity F1 with one rate and with two, encoder at 5e-5 0.660 and 0.786, at 1e-4
0.806 and 0.839, at 2e-4 0.857 and 0.862.

Cost: 63 runs, 61 minutes on 2 cores while many other jobs were running (sum of the runs' own times
/ 2). At small 6 runs, 6 minutes likewise.

`two` has the head at twice the largest encoder rate of the grid, which is the article's pair, 5e-5
and 1e-4, at paper. At laptop and small it is 4e-4, eight times 5e-5, so `article` has the article's
pair there, and the claims are about it; the other ratios are exploration. Its 3 runs at small are
not done. Both rates share one schedule and one corrected Adam. The article has one Adam for
each, and a separate schedule for the head.
"""

from itertools import product

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import LEARNING_RATES, LONGER_TRAINING, Claim, Setting
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, equal, greater
from stableft.reporting.figures import learning_rates
from stableft.reporting.tables import beside_published, published_layout, rate_pairs, scores_by_rate
from stableft.techniques.head_lr import HeadLR

from .protocol import ENTITIES
from .published import PUBLISHED

TASKS = {"smoke": ("toytag",), "laptop": ("doccode",), "small": ("resume_ner",), "paper": ("cluener", "resume_ner")}
NUM_SEEDS = {"smoke": 2, "laptop": 3, "small": 3}
SOURCE_SEEDS = 6  # the fewest with which a sign-flip test can reach 0.05
# Encoder learning rates, numbers of epochs, batch sizes.
SETTINGS = {
    "smoke": ((3e-3,), (3,), (8,)),
    "laptop": ((5e-5, 1e-4, 2e-4), (2, 3, 4), (16,)),
    "small": ((5e-5, 1e-4, 2e-4), (3,), (16,)),
}
ARTICLE_RATE, ARTICLE_HEAD_RATE = 5e-5, 1e-4
SOURCE = ((2e-5, 3e-5, 5e-5), (2, 3, 4), (16, 32))


def grid(protocol: Protocol) -> Grid:
    """Builds arms with one and with two rates, for every encoder rate, number of epochs and batch size.

    Also with the article's pair of rates, where these are others.
    """
    rates, epochs, sizes = SETTINGS.get(protocol.name, SOURCE)
    head_rate = 2 * max(rates)
    article = ARTICLE_RATE in rates and head_rate != ARTICLE_HEAD_RATE
    arms: dict[str, Override] = {}
    for lr, num_epochs, size in product(rates, epochs, sizes):
        setting: Override = {"adam.lr": lr, "schedule.num_epochs": num_epochs, "batch_size": size}
        name = f"lr={lr:.0e} epochs={num_epochs}" + (f" batch={size}" if len(sizes) > 1 else "")
        arms[f"one {name}"] = setting
        arms[f"two {name}"] = {**setting, "techniques": (HeadLR(scale=head_rate / lr),)}
        if article and lr == ARTICLE_RATE:
            arms[f"article {name}"] = {**setting, "techniques": (HeadLR(scale=ARTICLE_HEAD_RATE / lr),)}
    return Grid("head_lr", protocol, arms, TASKS[protocol.name], range(NUM_SEEDS.get(protocol.name, SOURCE_SEEDS)))


ARTICLE = "head-rate article (encoder 5e-5, head 1e-4; no comparison is published; protocol section 7, S3)"

PAIR = {"paper": "two lr=5e-05*", "": "article lr=5e-05*"}
AT_THE_PAIR = Setting("encoder at 5e-5, head at 1e-4, 2 to 4 epochs", learning_rates=(5e-5,), min_epochs=2, max_epochs=4)
RECOMMENDED = Setting("encoder at 5e-5, 3e-5 and 2e-5, head at 1e-4", learning_rates=(2e-5, 3e-5, 5e-5), min_epochs=2, max_epochs=4)

CLAIMS = (
    Claim(
        name="two_rates_gain",
        statement="A learning rate of its own for the head raises entity F1 at the head-rate article's pair of rates.",
        source=ARTICLE,
        expected="on every task the paired difference of head at 1e-4 and at 5e-5, encoder at 5e-5, mean over epochs and batch "
        f"sizes, is above 0: {SIGNIFICANT}",
        about=ENTITIES.encoder,
        minimum_n=FEWEST,
        test=greater(PAIR, "one lr=5e-05*"),
        question=LEARNING_RATES,
        setting=AT_THE_PAIR,
    ),
    Claim(
        name="two_rates_gain_everywhere",
        statement="It does so over the recommended encoder rates and epochs.",
        source=ARTICLE,
        expected="on every task the paired difference two - one, mean over all rates, epochs and batch sizes, is above 0: "
        f"{SIGNIFICANT}",
        about=ENTITIES.encoder,
        minimum_n=FEWEST,
        test=greater("two *", "one *"),
        question=LEARNING_RATES,
        setting=RECOMMENDED,
    ),
    Claim(
        name="few_epochs_suffice",
        statement="Two to four epochs suffice: the fourth changes little.",
        source="head-rate article: 2, 3 or 4 epochs recommended, stopped after 3 or 4 (protocol section 7, S3)",
        expected="on every task the paired difference of 4 epochs to 3, at the article's pair of rates, lies within 0.01: 95 % BCa "
        "interval",
        about=ENTITIES.encoder,
        minimum_n=FEWEST,
        test=equal(
            {"paper": "two lr=5e-05 epochs=4*", "": "article lr=5e-05 epochs=4*"},
            {"paper": "two lr=5e-05 epochs=3*", "": "article lr=5e-05 epochs=3*"},
            0.01,
        ),
        question=LONGER_TRAINING,
        setting=AT_THE_PAIR,
    ),
)


LEAD = "learning_rates"
REPORT = {
    "learning_rates": report.figure(learning_rates),
    "learning_rate_table": report.table(scores_by_rate),
    "one_and_two": report.table(rate_pairs),
    "published": report.table(beside_published, numbers=PUBLISHED),
    "article_table": report.table(published_layout, numbers=PUBLISHED, places=[("ner_article", "name of a saved checkpoint")]),
}
