"""FT-Transformer (Gorishniy et al. 2021, arXiv 2106.11959) in PyTorch, with as many tokens as Tidemark's default has.

Neighbouring numbers share tokens (twelve for credit_cards: five fields, six months, one pooled), so that it is of equal
size; a token per cell would make it slower still.
"""

from typing import Any

import torch
from torch import nn

TOKENS, WIDTH, HEADS, INNER, BLOCKS = 11, 32, 4, 64, 2


class Block(nn.Module):
    """Pre-norm attention and a gated feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.projection, self.joining = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.widening, self.narrowing = nn.Linear(WIDTH, 2 * INNER), nn.Linear(INNER, WIDTH)

    def forward(self, x: Any) -> Any:
        """Map (B, T, D) to itself."""
        rows, tokens, _ = x.shape
        parts = self.projection(self.first(x)).reshape(rows, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + self.joining(found.transpose(1, 2).reshape(rows, tokens, WIDTH))
        gate, value = self.widening(self.second(x)).chunk(2, dim=-1)
        return x + self.narrowing(nn.functional.gelu(gate) * value)


class FTTransformer(nn.Module):
    """Numbers (B, F) to logits (B)."""

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.tokens = nn.Linear(fields, TOKENS * WIDTH)
        self.pooled = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.blocks = nn.ModuleList([Block() for _ in range(BLOCKS)])
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 128), nn.GELU(), nn.Linear(128, 1))

    def forward(self, x: Any) -> Any:
        """Map (B, F) to (B)."""
        tokens = self.tokens(x).reshape(-1, TOKENS, WIDTH)
        tokens = torch.cat([self.pooled.expand(tokens.shape[0], 1, WIDTH), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens[:, 0])[:, 0]


class EventTransformer(nn.Module):
    """Events (B, T): a kind, numbers (B, T, F); and numbers of the record (B, G), to logits (B).

    Each event is a token, with a token for the record in front; one block, and their mean.
    """

    def __init__(self, kinds: int, numbers: int, fields: int) -> None:
        super().__init__()
        self.kinds, self.numbers = nn.Embedding(kinds, WIDTH), nn.Linear(numbers, WIDTH)
        self.record, self.block = nn.Linear(fields, WIDTH), Block()
        self.head = nn.Sequential(nn.LayerNorm(2 * WIDTH), nn.Linear(2 * WIDTH, 128), nn.GELU(), nn.Linear(128, 1))

    def forward(self, kinds: Any, numbers: Any, fields: Any) -> Any:
        """Map events and records to (B)."""
        events = self.kinds(kinds) + self.numbers(numbers)
        tokens = self.block(torch.cat([self.record(fields)[:, None], events], dim=1))
        return self.head(torch.cat([tokens[:, 0], tokens.mean(dim=1)], dim=-1))[:, 0]
