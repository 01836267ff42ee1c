"""Cheap trainings with a long curve each, in numpy alone: for the benchmark of stopping rules.

Each takes values, a seed and a number of iterations, and returns the validation loss after each iteration. Curves that
diverge end with NaN or an enormous loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

__all__ = ["cart_policy", "digits_autoencoder", "factors", "pendulum_policy", "spirals_network"]

Values = Mapping[str, Any]
Floats = npt.NDArray[np.float64]


def _rate(values: Values, done: float) -> float:
    """The learning rate after a part of the training."""
    kind, rate = values.get("schedule", "constant"), float(values["learning_rate"])
    if kind == "cosine":
        return float(rate * (0.5 + 0.5 * np.cos(np.pi * done)))
    if kind == "steps":
        return rate * 0.2 ** (int(done > 0.5) + int(done > 0.8))
    return rate


class _Network:
    """A fully connected network with momentum or Adam."""

    def __init__(self, sizes: list[int], values: Values, random: np.random.Generator) -> None:
        self._values = values
        scale = values.get("init", 1.0)
        self.weights = [random.normal(0, scale / np.sqrt(a), (a, b)) for a, b in pairwise(sizes)]
        self.biases = [np.zeros(size) for size in sizes[1:]]
        self._slow = [np.zeros_like(one) for one in (*self.weights, *self.biases)]
        self._square = [np.zeros_like(one) for one in (*self.weights, *self.biases)]
        self._steps = 0

    def outputs(self, inputs: Floats) -> list[Floats]:
        """The outputs of all layers; the last is linear."""
        found = [inputs]
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            linear = found[-1] @ weight + bias
            found.append(linear if number == len(self.weights) - 1 else np.tanh(linear))
        return found

    def step(self, inputs: Floats, error_of: Any, rate: float) -> None:
        """Follow the gradient of a batch; ``error_of`` returns the gradient by the outputs."""
        outputs = self.outputs(inputs)
        error = error_of(outputs[-1])
        decay = self._values.get("weight_decay", 0.0)
        by_weights, by_biases = [], []
        for number in reversed(range(len(self.weights))):
            by_weights.insert(0, outputs[number].T @ error + decay * self.weights[number])
            by_biases.insert(0, error.sum(axis=0))
            if number:
                error = (error @ self.weights[number].T) * (1 - outputs[number] ** 2)
        self._steps += 1
        momentum = self._values.get("momentum", 0.9)
        for place, (one, slope) in enumerate(
            zip((*self.weights, *self.biases), (*by_weights, *by_biases), strict=True)
        ):
            self._slow[place] = momentum * self._slow[place] + (1 - momentum) * slope
            if self._values.get("optimizer", "sgd") == "adam":
                self._square[place] = 0.99 * self._square[place] + 0.01 * slope**2
                unbiased = self._square[place] / (1 - 0.99**self._steps)
                one -= 0.1 * rate * self._slow[place] / (1 - momentum**self._steps) / (np.sqrt(unbiased) + 1e-8)
            else:
                one -= rate * self._slow[place]


@cache
def _spirals() -> tuple[Floats, Floats]:
    random = np.random.default_rng(21)
    turn = np.sqrt(random.uniform(0.05, 1, 600)) * 2.2 * np.pi
    side = np.where(np.arange(600) % 2, 1.0, -1.0)
    points = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (turn * side)[:, None] / 7
    return points + random.normal(0, 0.03, points.shape), (side > 0).astype(float)[:, None]


def spirals_network(values: Values, seed: int, iterations: int) -> list[float]:
    """Log-loss of a network that tells two spirals apart: long plateaus, then sudden progress."""
    points, labels = _spirals()
    random = np.random.default_rng(seed)
    model = _Network([2, *[values["width"]] * values["depth"], 1], values, random)

    def error(outputs: Floats, wanted: Floats) -> Floats:
        return (1 / (1 + np.exp(-np.clip(outputs, -50, 50))) - wanted) / len(wanted)

    losses = []
    for number in range(iterations):
        for batch in np.array_split(random.permutation(400), -(-400 // values["batch_size"])):
            wanted = labels[batch]
            model.step(points[batch], lambda out, wanted=wanted: error(out, wanted), _rate(values, number / iterations))
        outputs = model.outputs(points[400:])[-1]
        losses.append(float(np.logaddexp(0, np.where(labels[400:] > 0, -outputs, outputs)).mean()))
    return losses


@cache
def _images() -> Floats:
    images = load_digits().data / 16.0
    return images[np.random.default_rng(4).permutation(len(images))[:900]]  # type: ignore[no-any-return]


def digits_autoencoder(values: Values, seed: int, iterations: int) -> list[float]:
    """Squared error of an autoencoder that takes noise from digits."""
    images = _images()
    random = np.random.default_rng(seed)
    model = _Network([64, values["width"], values["code"], values["width"], 64], values, random)
    test = images[600:] + np.random.default_rng(1).normal(0, 0.2, (300, 64))
    losses = []
    for number in range(iterations):
        for batch in np.array_split(random.permutation(600), -(-600 // values["batch_size"])):
            wanted = images[batch]
            noisy = wanted + random.normal(0, values["noise"], wanted.shape)
            rate = _rate(values, number / iterations)
            model.step(noisy, lambda out, wanted=wanted: (out - wanted) / len(wanted), rate)
        losses.append(float(((model.outputs(test)[-1] - images[600:]) ** 2).mean()))
    return losses


@cache
def _ratings() -> tuple[npt.NDArray[np.int64], Floats]:
    random = np.random.default_rng(8)
    users, items = random.normal(0, 1, (80, 4)), random.normal(0, 1, (60, 4))
    pairs = np.stack(np.unravel_index(random.permutation(4800)[:2000], (80, 60)), axis=1)
    return pairs, (users[pairs[:, 0]] * items[pairs[:, 1]]).sum(axis=1) / 2 + random.normal(0, 0.3, 2000)


def factors(values: Values, seed: int, iterations: int) -> list[float]:
    """Error of a factorised table of ratings, which overfits; high learning rates diverge."""
    pairs, ratings = _ratings()
    random = np.random.default_rng(seed)
    rank, scale = values["rank"], values["init"]
    tables = [random.normal(0, scale, (80, rank)), random.normal(0, scale, (60, rank))]
    slow = [np.zeros_like(table) for table in tables]
    losses = []
    for number in range(iterations):
        rate = _rate(values, number / iterations)
        for batch in np.array_split(random.permutation(1400), -(-1400 // values["batch_size"])):
            left, right = pairs[batch].T
            error = (tables[0][left] * tables[1][right]).sum(axis=1) - ratings[batch]
            slopes = [values["weight_decay"] * table for table in tables]
            np.add.at(slopes[0], left, error[:, None] * tables[1][right] / len(batch) * 10)
            np.add.at(slopes[1], right, error[:, None] * tables[0][left] / len(batch) * 10)
            for place in range(2):
                slow[place] = values["momentum"] * slow[place] + slopes[place]
                tables[place] = tables[place] - rate * slow[place]
        left, right = pairs[1400:].T
        found = (tables[0][left] * tables[1][right]).sum(axis=1)
        losses.append(float(np.sqrt(((found - ratings[1400:]) ** 2).mean())))
    return losses


def pendulum_policy(values: Values, seed: int, iterations: int) -> list[float]:
    """Cost of swinging up a pendulum, by evolution strategies; judged by 60 random episodes, so it jitters."""
    random = np.random.default_rng(seed)
    hidden, pairs = values["hidden"], values["pairs"]
    size = 3 * hidden + hidden
    mean = random.normal(0, 0.3, size)
    slow = np.zeros(size)
    costs = []
    for number in range(iterations):
        noise = random.normal(0, 1, (pairs, size))
        sigma = values["sigma"]
        tried = np.concatenate([mean + sigma * noise, mean - sigma * noise])
        found = _swing(tried, hidden, random, episodes=2)
        ranks = found.argsort().argsort() / (len(found) - 1) - 0.5
        found = ranks if values["ranked"] else (found - found.mean()) / 5
        slope = ((found[:pairs] - found[pairs:])[:, None] * noise).mean(axis=0) / sigma
        slow = values["momentum"] * slow + (1 - values["momentum"]) * slope
        mean = (1 - values["weight_decay"]) * mean - _rate(values, number / iterations) * slow
        costs.append(float(_swing(mean[None], hidden, random, episodes=60)[0]))
    return costs


def _swing(policies: Floats, hidden: int, random: np.random.Generator, episodes: int) -> Floats:
    """The mean cost of each policy, of shape ``(n, 4 * hidden)``."""
    count = len(policies)
    first = policies[:, : 3 * hidden].reshape(count, 1, 3, hidden)
    last = policies[:, 3 * hidden :].reshape(count, 1, hidden)
    angle = random.uniform(-np.pi, np.pi, (1, episodes)).repeat(count, axis=0)
    speed = random.uniform(-1, 1, (1, episodes)).repeat(count, axis=0)
    cost = np.zeros((count, episodes))
    for _ in range(50):
        seen = np.stack([np.cos(angle), np.sin(angle), speed / 4], axis=2)
        torque = 2 * np.tanh((np.tanh((seen[..., None] * first).sum(axis=2)) * last).sum(axis=2))
        speed = np.clip(speed + 0.08 * (7.5 * np.sin(angle) + 3 * torque), -8, 8)
        angle = (angle + 0.08 * speed + np.pi) % (2 * np.pi) - np.pi
        cost += angle**2 + 0.1 * speed**2 + 0.001 * torque**2
    return cost.mean(axis=1) / 50  # type: ignore[no-any-return]


def cart_policy(values: Values, seed: int, iterations: int) -> list[float]:
    """Steps in the middle of the track, negative, by policy gradient with a baseline; judged by 40 episodes."""
    random = np.random.default_rng(seed)
    policy, critic = np.zeros(5), np.zeros(5)
    losses = []
    for number in range(iterations):
        seen, taken, alive = _balance(policy, random, values["episodes"])
        returns = np.zeros_like(alive)
        total = np.zeros(alive.shape[1])
        for step in reversed(range(len(alive))):
            total = alive[step] * (1 + values["discount"] * total)
            returns[step] = total
        values_of = np.tanh(seen @ critic) * 20 + 20
        gains = (returns - values["baseline"] * values_of) * alive
        chances = 1 / (1 + np.exp(-np.clip(seen @ policy, -30, 30)))
        slope = ((taken - chances) * gains)[..., None] * seen
        norm = 10 * alive.sum()
        policy = policy + _rate(values, number / iterations) * slope.sum(axis=(0, 1)) / norm
        policy *= 1 - values["weight_decay"]
        critic = critic + 0.01 * (((returns - values_of) * alive)[..., None] * seen).sum(axis=(0, 1)) / norm
        seen, _, alive = _balance(policy, random, 40)
        losses.append(-float((alive * np.maximum(0, 1 - np.abs(seen[..., 0]) / 2.4)).sum(axis=0).mean()))
    return losses


def _balance(policy: Floats, random: np.random.Generator, episodes: int) -> tuple[Floats, Floats, Floats]:
    """What was seen, the pushes to the right, and whether the pole stood, for 120 steps of some episodes."""
    state = random.uniform(-0.15, 0.15, (episodes, 4))
    seen, taken, alive = np.zeros((120, episodes, 5)), np.zeros((120, episodes)), np.zeros((120, episodes))
    up = np.ones(episodes, dtype=bool)
    for step in range(120):
        seen[step] = np.concatenate([state, np.ones((episodes, 1))], axis=1)
        right = random.random(episodes) < 1 / (1 + np.exp(-np.clip(seen[step] @ policy, -30, 30)))
        taken[step], alive[step] = right, up
        place, speed, angle, turn = state.T
        push = np.where(right, 10.0, -10.0) + random.normal(0, 2, episodes)
        inner = (push + 0.05 * turn**2 * np.sin(angle)) / 1.1
        bend = (9.8 * np.sin(angle) - np.cos(angle) * inner) / (0.5 * (4 / 3 - 0.1 * np.cos(angle) ** 2 / 1.1))
        shift = inner - 0.05 * bend * np.cos(angle) / 1.1
        state = np.stack([place + 0.02 * speed, speed + 0.02 * shift, angle + 0.02 * turn, turn + 0.02 * bend], axis=1)
        up &= (np.abs(state[:, 0]) < 2.4) & (np.abs(state[:, 2]) < 0.21)
        if not up.any():
            break
    return seen, taken, alive
