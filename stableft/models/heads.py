"""Structured head for tagging: a BiLSTM over the words and a linear-chain CRF over their tags."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

LSTM_UNITS = 256
CRF_RANGE = 0.1


class LinearChainCRF(nn.Module):
    """A distribution over the tag sequences y of a sentence, p(y) proportional to exp(score(y)).

    Source: Lafferty et al., 2001. score(y) is the sum of the start score of y_1, the emissions of each
    y_t at its word, the transition score of each (y_t, y_t+1), and the end score of y_n. All
    transitions between tags are allowed, and their scores are learnt.

    Sentences are padded to the longest, L words: emissions are (B, L, K), masks (B, L), True for the
    first n >= 1 words.

    Args:
        num_tags: K.
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.end = nn.Parameter(torch.zeros(num_tags))
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))  # from the row's tag to the column's

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Returns (B,) log of the sum of exp(score) over all K^n tag sequences (forward algorithm)."""
        sums = self.start + emissions[:, 0]
        for t in range(1, emissions.shape[1]):
            longer = (sums[:, :, None] + self.transitions).logsumexp(1) + emissions[:, t]
            sums = torch.where(mask[:, t, None], longer, sums)
        return (sums + self.end).logsumexp(1)

    def score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Returns (B,) the score of one tag sequence per sentence.

        The entries of ``tags`` (B, L) beyond the end of a sentence are ignored.
        """
        last = tags.gather(1, mask.sum(1, keepdim=True) - 1)[:, 0]
        emitted = emissions.gather(2, tags[:, :, None])[:, :, 0]
        followed = self.transitions[tags[:, :-1], tags[:, 1:]]
        zero = emitted.new_zeros(())
        inner = torch.where(mask, emitted, zero).sum(1) + torch.where(mask[:, 1:], followed, zero).sum(1)
        return self.start[tags[:, 0]] + inner + self.end[last]

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, L) the tag sequence of highest score of each sentence (Viterbi algorithm).

        Beyond the end of a sentence its last tag is repeated.
        """
        best = self.start + emissions[:, 0]
        stay = torch.arange(best.shape[1], device=best.device).expand_as(best)
        before: list[Tensor] = []
        for t in range(1, emissions.shape[1]):
            longer, previous = (best[:, :, None] + self.transitions).max(1)
            best = torch.where(mask[:, t, None], longer + emissions[:, t], best)
            before.append(torch.where(mask[:, t, None], previous, stay))
        path = [(best + self.end).argmax(1)]
        for previous in reversed(before):
            path.append(previous.gather(1, path[-1][:, None])[:, 0])
        return torch.stack(path[::-1], 1)


class BiLSTMCRF(nn.Module):
    """Emissions from a BiLSTM and a linear layer over the words' states, with a `LinearChainCRF`.

    As in the head-rate article (protocol section 7, S3). "BiLSTM 256" is read as 256 units in each
    direction, 512 together, as the reference code builds it. Differences from that code: plain LSTM
    cells (there: peepholes, coupled gates), one linear layer from 512 to the K tags (there: a
    hidden one of 256 between), start and end scores (there: a start tag alone), each word read by
    its first piece (there: every piece, [CLS] and [SEP] too). Dropout before the BiLSTM is the
    run's, and off in evaluation (there: 0.5, on in evaluation too). As there, the tag scheme adds
    no constraint on transitions.

    Words are flat, as everywhere: (W, H), sentences one after another.

    Args:
        hidden: H.
        num_tags: K.
        units: Of the LSTM, in each direction.
    """

    def __init__(self, hidden: int, num_tags: int, units: int = LSTM_UNITS) -> None:
        super().__init__()
        # One LSTM per direction, over padded sentences, takes 0.7 of the time of one bidirectional LSTM
        # over a packed sequence (16 sentences of 30 words, H 512, one thread of an EPYC), because
        # torch's oneDNN does not support packed sequences.
        self.forwards = nn.LSTM(hidden, units)
        self.backwards = nn.LSTM(hidden, units)
        self.output = nn.Linear(2 * units, num_tags)
        self.crf = LinearChainCRF(num_tags)

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draws all parameters uniformly within +-r, in order of their declaration.

        r is 1 / sqrt(units) for the LSTMs and 1 / sqrt(2 x units) for the linear layer, as in torch,
        and 0.1 for the CRF's scores.
        """
        units = self.forwards.hidden_size
        for part, bound in (
            (self.forwards, units**-0.5),
            (self.backwards, units**-0.5),
            (self.output, (2 * units) ** -0.5),
            (self.crf, CRF_RANGE),
        ):
            for parameter in part.parameters():
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, words: Tensor, lengths: Sequence[int]) -> Tensor:
        """Computes emissions (W, K), float32, from words (W, H) of sentences with ``lengths`` >= 1."""
        sentences = list(words.split(list(lengths)))
        ahead, _ = self.forwards(pad_sequence(sentences))
        back, _ = self.backwards(pad_sequence([sentence.flip(0) for sentence in sentences]))
        both = [torch.cat([ahead[:n, i], back[:n, i].flip(0)], 1) for i, n in enumerate(lengths)]
        return self.output(torch.cat(both))

    def losses(self, emissions: Tensor, tags: Tensor, lengths: Sequence[int]) -> Tensor:
        """Returns (B,) the negative log-likelihood of each sentence's tags (W,)."""
        padded, mask = _pad(emissions, lengths)
        wanted, _ = _pad(tags, lengths)
        return self.crf.log_partition(padded, mask) - self.crf.score(padded, wanted, mask)

    def decode(self, emissions: Tensor, lengths: Sequence[int]) -> Tensor:
        """Returns (W,) the most probable tags."""
        padded, mask = _pad(emissions, lengths)
        return self.crf.decode(padded, mask)[mask]


def _pad(rows: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns flat rows (W, ...) as (B, L, ...), zero beyond the ends, and the mask (B, L) of real rows."""
    length = torch.tensor(list(lengths), device=rows.device)
    mask = torch.arange(int(max(lengths)), device=rows.device) < length[:, None]
    return pad_sequence(list(rows.split(list(lengths))), batch_first=True), mask
