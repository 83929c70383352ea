"""A character-level language model in numpy: embedding, one hidden layer, softmax.

Bengio et al. 2003, "A Neural Probabilistic Language Model", with AdamW (Loshchilov and Hutter
2019). Gradients are written out and checked against finite differences in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .corpus import ALPHABET

__all__ = ["CONTEXT", "AdamW", "CharModel", "Floats", "Ints", "clip"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
CONTEXT = 12
WIDTH = 16
HIDDEN = 128


class CharModel:
    """Predicts the next character from the last CONTEXT ones."""

    def __init__(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        size = len(ALPHABET)

        def normal(*shape: int, scale: float) -> Floats:
            return (chance.standard_normal(shape) * scale).astype(np.float32)

        self.weights: dict[str, Floats] = {
            "embedding": normal(size, WIDTH, scale=0.5),
            "hidden": normal(CONTEXT * WIDTH, HIDDEN, scale=(CONTEXT * WIDTH) ** -0.5),
            "hidden_bias": np.zeros(HIDDEN, dtype=np.float32),
            "output": normal(HIDDEN, size, scale=HIDDEN**-0.5),
            "output_bias": np.zeros(size, dtype=np.float32),
        }

    @property
    def parameters(self) -> int:
        return sum(weight.size for weight in self.weights.values())

    def _forward(self, context: Ints) -> tuple[Floats, Floats, Floats]:
        w = self.weights
        x = w["embedding"][context].reshape(len(context), -1)
        hidden = np.tanh(x @ w["hidden"] + w["hidden_bias"])
        logits = hidden @ w["output"] + w["output_bias"]
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return x, hidden, logits

    def loss(self, context: Ints, target: Ints) -> float:
        """Mean cross-entropy in nats a character."""
        return float(-self._forward(context)[2][np.arange(len(target)), target].mean())

    def gradients(self, context: Ints, target: Ints) -> tuple[float, dict[str, Floats]]:
        """Loss in nats a character, and its gradient for each weight."""
        x, hidden, logs = self._forward(context)
        rows = np.arange(len(target))
        loss = float(-logs[rows, target].mean())
        above = np.exp(logs)
        above[rows, target] -= 1
        above /= len(target)
        below = (above @ self.weights["output"].T) * (1 - hidden**2)
        embedded = (below @ self.weights["hidden"].T).reshape(*context.shape, WIDTH)
        table = np.zeros_like(self.weights["embedding"])
        np.add.at(table, context, embedded)
        return loss, {
            "embedding": table,
            "hidden": x.T @ below,
            "hidden_bias": below.sum(axis=0),
            "output": hidden.T @ above,
            "output_bias": above.sum(axis=0),
        }

    def write(self, prompt: Ints, length: int, *, temperature: float, seed: int) -> Ints:
        """`length` characters after the prompt."""
        chance = np.random.default_rng(seed)
        text = [1] * CONTEXT + [int(n) for n in prompt]
        for _ in range(length):
            logs = self._forward(np.array([text[-CONTEXT:]]))[2][0].astype(np.float64)
            share = np.exp((logs - logs.max()) / temperature)
            if not np.isfinite(share).all():
                break
            text.append(int(chance.choice(len(share), p=share / share.sum())))
        return np.array(text[CONTEXT:], dtype=np.int64)


def clip(gradient: Mapping[str, Floats], most: float | None) -> float:
    """Global norm of the gradient, which is then scaled in place to at most `most`.

    Pascanu et al. 2013, "On the difficulty of training recurrent neural networks".
    """
    norm = math.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradient.values()))
    if most is not None and norm > most:
        for slope in gradient.values():
            np.multiply(slope, most / norm, out=slope)
    return norm


class AdamW:
    """Adam with decoupled weight decay."""

    def __init__(
        self, weights: dict[str, Floats], *, decay: float = 0.01, memory: float = 0.995
    ) -> None:
        self.first = {name: np.zeros_like(w) for name, w in weights.items()}
        self.second = {name: np.zeros_like(w) for name, w in weights.items()}
        self.steps = 0
        self.decay = decay
        self.memory = memory

    def update(self, weights: dict[str, Floats], gradient: dict[str, Floats], lr: float) -> None:
        """One step in place."""
        self.steps += 1
        for name, slope in gradient.items():
            self.first[name] += 0.1 * (slope - self.first[name])
            self.second[name] += (1 - self.memory) * (slope**2 - self.second[name])
            mean = self.first[name] / (1 - 0.9**self.steps)
            size = np.sqrt(self.second[name] / (1 - self.memory**self.steps)) + 1e-8
            weights[name] -= np.float32(lr) * (mean / size + np.float32(self.decay) * weights[name])
