"""Train a small network to tell two spirals apart; lightsweep chooses its parameters."""

import numpy as np

import lightsweep

EPOCHS = 27


def spirals(count, seed):
    """Return points on two spirals, one behind the other, and the spiral of each: 0 or 1."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    turn = 1.5 * np.sqrt(random.uniform(0.04, 1, count))
    angle = 2 * np.pi * turn + np.pi * label
    points = turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + random.normal(0, 0.05, points.shape), label[:, None]


def forward(weights, points):
    """Return the hidden layers and the probability of spiral 1."""
    first = np.tanh(points @ weights[0] + weights[1])
    second = np.tanh(first @ weights[2] + weights[3])
    return first, second, 1 / (1 + np.exp(-np.clip(second @ weights[4] + weights[5], -30, 30)))


def gradients(weights, points, label):
    """Return the derivative of the cross-entropy with respect to each array of weights."""
    first, second, probability = forward(weights, points)
    error = (probability - label) / len(points)
    below = error @ weights[4].T * (1 - second**2)
    lowest = below @ weights[2].T * (1 - first**2)
    return [points.T @ lowest, lowest.sum(0), first.T @ below, below.sum(0), second.T @ error, error.sum(0)]


with lightsweep.init() as run:
    config = run.config
    random = np.random.default_rng(0)
    sizes = [2, config.width, config.width, 1]
    weights = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        weights += [random.normal(0, inputs**-0.5, (inputs, outputs)), np.zeros(outputs)]
    steps = [np.zeros_like(array) for array in weights]

    points, label = spirals(2000, seed=1)
    unseen, truth = spirals(1000, seed=2)
    for _ in range(EPOCHS):
        order = random.permutation(len(points))
        for start in range(0, len(points), config.batch_size):
            batch = order[start : start + config.batch_size]
            for array, step, slope in zip(weights, steps, gradients(weights, points[batch], label[batch])):
                step *= config.momentum
                step -= config.learning_rate * slope
                array += step
        probability = np.clip(forward(weights, unseen)[2], 1e-9, 1 - 1e-9)
        loss = -np.mean(truth * np.log(probability) + (1 - truth) * np.log(1 - probability))
        run.log({"val_loss": loss, "val_accuracy": np.mean((probability > 0.5) == truth)})  # may end the run here
