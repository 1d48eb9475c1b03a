"""Trains a deep model for tables by its authors' own package; run by the interpreter that has PyTorch.

    python -m benchmarks.peers.deep_tabular KIND ROWS.npz ANSWER.npy

KIND is `ft_transformer` (Gorishniy et al. 2021, arXiv 2106.11959; two blocks, the authors' defaults) or `tabm`
(Gorishniy et al. 2025, arXiv 2410.24210; the authors' defaults with piecewise-linear embeddings). ROWS holds `numbers`,
`names`, `target` and `part` (0 to learn from, 1 to stop by, 2 to answer). As with the other peers, the number of epochs
is found on the rows to stop by, and the model fitted again on both.
"""

import sys
from typing import Any

import numpy as np
import rtdl_num_embeddings
import rtdl_revisiting_models
import tabm
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import QuantileTransformer
from torch import nn

BATCH_ROWS, MOST_EPOCHS, PATIENCE = 256, 60, 8
BINS, EMBEDDING = 32, 16
ANSWER_ROWS = 4096


class FTTransformer(nn.Module):
    """The authors' network with the answer of one member."""

    mixed_precision = False

    def __init__(self, numbers: Any, cardinalities: list[int]) -> None:
        super().__init__()
        sizes = rtdl_revisiting_models.FTTransformer.get_default_kwargs(n_blocks=2)
        self.inner = rtdl_revisiting_models.FTTransformer(
            n_cont_features=numbers.shape[1], cat_cardinalities=cardinalities, d_out=1, **sizes
        )

    def forward(self, numbers: Any, names: Any) -> Any:
        """Map to (B, 1) logits."""
        return self.inner(numbers if numbers.shape[1] else None, names if names.shape[1] else None)

    def optimizer(self) -> torch.optim.Optimizer:
        """The authors' settings."""
        return self.inner.make_default_optimizer()


class TabM(nn.Module):
    """The authors' network of 32 members, which they train in mixed precision."""

    mixed_precision = True

    def __init__(self, numbers: Any, cardinalities: list[int]) -> None:
        super().__init__()
        bins = rtdl_num_embeddings.compute_bins(numbers, n_bins=BINS)
        embeddings = rtdl_num_embeddings.PiecewiseLinearEmbeddings(bins, EMBEDDING, activation=False, version="B")
        self.inner = tabm.TabM.make(
            n_num_features=numbers.shape[1], cat_cardinalities=cardinalities, d_out=1, num_embeddings=embeddings
        )

    def forward(self, numbers: Any, names: Any) -> Any:
        """Map to (B, 32) logits."""
        return self.inner(numbers, names if names.shape[1] else None)[:, :, 0]

    def optimizer(self) -> torch.optim.Optimizer:
        """The authors' settings."""
        return torch.optim.AdamW(self.parameters(), lr=2e-3, weight_decay=3e-4)


KINDS = {"ft_transformer": FTTransformer, "tabm": TabM}


def main(kind: str, rows: str, answer: str) -> None:
    """Train on the rows of a file and write the probabilities of those to answer."""
    torch.manual_seed(1)
    with np.load(rows) as held:
        numbers, names, target, part = (held[name] for name in ("numbers", "names", "target", "part"))
    cardinalities = [int(one) + 1 for one in names.max(axis=0)] if names.shape[1] else []
    learn, stop, asked = (np.flatnonzero(part == number) for number in range(3))
    read = _reader(numbers, names, target)
    epochs = _fit(KINDS[kind](read(learn)[0], cardinalities), read, learn, stop)[1]
    both = np.concatenate([learn, stop])
    network, _ = _fit(KINDS[kind](read(both)[0], cardinalities), read, both, None, epochs)
    np.save(answer, _answer(network, read, asked))


def _reader(numbers: NDArray[Any], names: NDArray[Any], target: NDArray[Any]) -> Any:
    """Numbers as normal quantiles of the labelled rows, a flag beside each column that may be missing."""
    gaps = np.isnan(numbers)
    scaler = QuantileTransformer(
        output_distribution="normal", n_quantiles=min(1000, len(numbers)), subsample=10**9, random_state=1
    )
    even = np.nan_to_num(scaler.fit_transform(numbers)) if numbers.shape[1] else numbers
    even = np.concatenate([even, gaps[:, gaps.any(axis=0)]], axis=1).astype(np.float32)

    def read(rows: NDArray[Any]) -> tuple[Any, Any, Any]:
        return torch.tensor(even[rows]), torch.tensor(names[rows]), torch.tensor(target[rows], dtype=torch.float32)

    return read


def _fit(
    network: Any, read: Any, learn: NDArray[Any], stop: NDArray[Any] | None, epochs: int = MOST_EPOCHS
) -> tuple[Any, int]:
    """Fit for some epochs, or until the rows to stop by gain nothing; return the network and its best epoch."""
    optimizer, random = network.optimizer(), np.random.default_rng(1)
    best_loss, best_epoch = np.inf, 0
    for epoch in range(1, epochs + 1):
        network.train()
        order = random.permutation(learn)
        for start in range(0, len(order), BATCH_ROWS):
            numbers, names, target = read(order[start : start + BATCH_ROWS])
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=network.mixed_precision):
                logits = network(numbers, names)
            logits = logits.float()
            loss = nn.functional.binary_cross_entropy_with_logits(logits, target[:, None].expand_as(logits))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if stop is None:
            continue
        probability = np.clip(_answer(network, read, stop), 1e-6, 1 - 1e-6)
        target = read(stop)[2].numpy()
        loss = float(-np.mean(target * np.log(probability) + (1 - target) * np.log(1 - probability)))
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
        if epoch - best_epoch >= PATIENCE:
            break
    return network, best_epoch


def _answer(network: Any, read: Any, rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean probability of the members."""
    network.eval()
    parts: list[NDArray[Any]] = []
    with torch.no_grad():
        for start in range(0, len(rows), ANSWER_ROWS):
            numbers, names, _ = read(rows[start : start + ANSWER_ROWS])
            parts.append(torch.sigmoid(network(numbers, names)).mean(dim=1).numpy())
    return np.concatenate(parts).astype(np.float64)


if __name__ == "__main__":
    main(*sys.argv[1:])
