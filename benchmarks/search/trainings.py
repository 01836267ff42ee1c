"""The trainings behind the real problems: each takes values and a seed, and returns validation losses by iteration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_friedman1
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR
from torch import nn

__all__ = [
    "cancer_linear",
    "cancer_xgboost",
    "diabetes_svr",
    "diabetes_trees",
    "digits_network",
    "digits_svm",
    "friedman_xgboost",
    "housing_forest",
    "waves_network",
    "wine_ridge",
    "wine_svm",
    "words_linear",
]

Values = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
_EPOCHS = 12
_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}


@cache
def _digits() -> list[Any]:
    images, digits = load_digits(return_X_y=True)
    parts = train_test_split(images / 16.0, digits, train_size=700, test_size=700, random_state=0, stratify=digits)
    return [torch.tensor(part, dtype=torch.float32 if part.ndim == 2 else torch.long) for part in parts]


@cache
def _waves() -> list[Any]:
    """Short series of four kinds of waves with noise, to be told apart."""
    random = np.random.default_rng(5)
    time = np.linspace(0, 1, 40)
    kinds = random.integers(0, 4, 1400)
    speed, phase = random.uniform(1.5, 5, (1400, 1)), random.uniform(0, 2 * np.pi, (1400, 1))
    angle = 2 * np.pi * speed * time + phase
    shapes = np.stack([np.sin(angle), np.sign(np.sin(angle)), np.abs(np.sin(angle / 2)) * 2 - 1, np.sin(angle**1.1)])
    series = shapes[kinds, np.arange(1400)] + random.normal(0, 0.35, (1400, 40))
    parts = train_test_split(series, kinds, train_size=700, test_size=700, random_state=0)
    return [torch.tensor(part, dtype=torch.float32 if part.ndim == 2 else torch.long) for part in parts]


def digits_network(values: Values, seed: int, epochs: int = _EPOCHS) -> list[float]:
    """Cross-entropy of a small network on digits."""
    return _network(values, seed, _digits(), 10, epochs)


def waves_network(values: Values, seed: int, epochs: int = _EPOCHS) -> list[float]:
    """Cross-entropy of a small network that tells four kinds of waves apart; another seed, another loss."""
    return _network(values, seed, _waves(), 4, epochs)


def _network(values: Values, seed: int, data: list[Any], classes: int, epochs: int) -> list[float]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _fit_network(values, generator, data, classes, epochs)


def _fit_network(values: Values, generator: torch.Generator, data: list[Any], classes: int, epochs: int) -> list[float]:
    train_x, test_x, train_y, test_y = data
    layers: list[nn.Module] = []
    size = train_x.shape[1]
    for _ in range(values["depth"]):
        activation = _ACTIVATIONS[values.get("activation", "relu")]()
        layers += [nn.Linear(size, values["width"]), activation, nn.Dropout(values["dropout"])]
        size = values["width"]
    model = nn.Sequential(*layers, nn.Linear(size, classes))
    optimizer = _optimizer(values, model)
    batches = -(-len(train_x) // values["batch_size"])
    factor = _schedule(values, epochs * batches, values.get("warmup", 0) * batches)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    loss_of = nn.CrossEntropyLoss(label_smoothing=values.get("label_noise", 0.0))
    losses = []
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(train_x), generator=generator).split(values["batch_size"]):
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(train_x[batch]), train_y[batch]).backward()
            optimizer.step()
            scheduler.step()
        model.eval()
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(model(test_x), test_y)))
    return losses


def _optimizer(values: Values, model: nn.Module) -> torch.optim.Optimizer:
    rate, decay = values["learning_rate"], values["weight_decay"]
    if values["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay, momentum=values["momentum"])
    kind = torch.optim.Adam if values["optimizer"] == "adam" else torch.optim.AdamW
    return kind(model.parameters(), lr=rate, weight_decay=decay)


def _schedule(values: Values, steps: int, warmup: int) -> Any:
    kind = values.get("schedule", "constant")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, steps - warmup)
        return {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 + 0.5 * float(np.cos(np.pi * done))}[kind]

    return factor


@cache
def _cancer() -> tuple[Floats, Floats]:
    return load_breast_cancer(return_X_y=True)  # type: ignore[no-any-return]


@cache
def _friedman() -> tuple[Floats, Floats]:
    features, target = make_friedman1(n_samples=500, n_features=12, noise=1.0, random_state=3)
    return features, (target - target.mean()) / target.std()


def cancer_xgboost(values: Values, seed: int) -> list[float]:
    """Log-loss of boosted trees for breast cancer, by three folds, at each sixth of the rounds."""
    return _boosted(values, seed, _cancer(), "binary:logistic", "logloss")


def friedman_xgboost(values: Values, seed: int) -> list[float]:
    """Root of the squared error of boosted trees for Friedman's first function."""
    return _boosted(values, seed, _friedman(), "reg:squarederror", "rmse")


def _boosted(values: Values, seed: int, data: tuple[Floats, Floats], objective: str, metric: str) -> list[float]:
    import xgboost  # slow to import, and not needed by the other problems

    options = {
        "objective": objective,
        "eval_metric": metric,
        "nthread": 1,
        "seed": seed,
        "eta": values["eta"],
        "max_depth": values["max_depth"],
        "min_child_weight": values["min_child_weight"],
        "subsample": values["subsample"],
        "colsample_bytree": values["colsample"],
        "lambda": values["reg_lambda"],
        "alpha": values.get("reg_alpha", 0.0),
        "gamma": values.get("gamma", 0.0),
        "grow_policy": values.get("grow_policy", "depthwise"),
        "tree_method": "hist",
    }
    folds = xgboost.cv(options, xgboost.DMatrix(*data), values["rounds"], nfold=3, seed=0)
    losses = folds[f"test-{metric}-mean"] if isinstance(folds, dict) else folds[f"test-{metric}-mean"].to_list()
    return [float(loss) for loss in losses]


@cache
def _diabetes() -> tuple[Floats, Floats]:
    features, target = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(features), (target - target.mean()) / target.std()


def diabetes_svr(values: Values, seed: int) -> list[float]:
    """Squared error of a support vector machine for diabetes, by three folds."""
    del seed
    features, target = _diabetes()
    model = SVR(
        kernel=values["kernel"],
        C=values["C"],
        gamma=values["gamma"],
        epsilon=values["epsilon"],
        degree=values["degree"],
        coef0=values["coef0"],
        max_iter=3000,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = cross_val_predict(model, features, target, cv=3)
    return [float(np.mean((found - target) ** 2))]


def wine_ridge(values: Values, seed: int) -> list[float]:
    """Squared error of polynomial ridge regression for the alcohol of wines, by three folds; two parameters."""
    del seed
    features = load_wine().data
    others, target = features[:, 1:], StandardScaler().fit_transform(features[:, :1]).ravel()
    model = make_pipeline(StandardScaler(), PolynomialFeatures(values["degree"]), Ridge(values["alpha"], solver="svd"))
    order = np.random.default_rng(0).permutation(len(target))
    found = cross_val_predict(model, others[order], target[order], cv=3)
    return [float(np.mean((found - target[order]) ** 2))]


def digits_svm(values: Values, seed: int) -> list[float]:
    """Error rate, smoothed by the margin, of a support vector machine on principal components of digits."""
    del seed
    images, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(images, digits, train_size=500, test_size=800, random_state=1)
    scaler = {"none": FunctionTransformer, "standard": StandardScaler, "minmax": MinMaxScaler}[values["scaler"]]()
    model = make_pipeline(scaler, PCA(values["components"], random_state=0), SVC(C=values["C"], gamma=values["gamma"]))
    return [float(np.mean(model.fit(train_x, train_y).predict(test_x) != test_y))]


@cache
def _words() -> list[Any]:
    """Counts of 300 words in texts of five topics."""
    random = np.random.default_rng(11)
    topics = random.dirichlet(np.full(300, 0.08), 5)
    labels = random.integers(0, 5, 900)
    mixed = 0.2 * topics[labels] + 0.8 * topics.mean(axis=0)
    counts = np.stack([random.multinomial(60, row / row.sum()) for row in mixed]).astype(float)
    return list(train_test_split(np.log1p(counts), labels, train_size=450, random_state=0, stratify=labels))


def words_linear(values: Values, seed: int, passes: int = 8) -> list[float]:
    """Log-loss of a linear model on counts of words; parameters that others switch off, and two that nothing reads."""
    train_x, test_x, train_y, test_y = _words()
    model = SGDClassifier(
        loss=values["loss"],
        penalty=values["penalty"],
        alpha=values["alpha"],
        l1_ratio=values["l1_ratio"],
        learning_rate=values["schedule"],
        eta0=values["eta0"],
        power_t=values["power_t"],
        random_state=seed,
    )
    losses = []
    for _ in range(passes):
        try:
            with np.errstate(all="ignore"):
                model.partial_fit(train_x, train_y, classes=range(5))
                found = model.predict_proba(test_x)
        except ValueError:  # scikit-learn's word for weights that are not finite
            return [*losses, float("nan")]
        found = np.clip(np.nan_to_num(found), 1e-4, 1.0)
        losses.append(float(log_loss(test_y, found / found.sum(axis=1, keepdims=True), labels=range(5))))
    return losses


def housing_forest(values: Values, seed: int) -> list[float]:
    """Squared error of a small random forest for the prices of made houses."""
    train_x, test_x, train_y, test_y = _houses()
    model = RandomForestRegressor(
        n_estimators=12,
        max_depth=values["max_depth"],
        min_samples_leaf=values["min_samples_leaf"],
        max_features=values["max_features"],
        criterion=values["criterion"],
        bootstrap=values["bootstrap"],
        random_state=seed,
    )
    return [float(np.mean((model.fit(train_x, train_y).predict(test_x) - test_y) ** 2))]


@cache
def _houses() -> list[Floats]:
    random = np.random.default_rng(7)
    size, age, distance, rooms = (random.gamma(4, 25, 600), *random.uniform(0, 1, (3, 600)))
    noise = random.normal(0, 0.25, 600)
    price = 0.02 * size - np.abs(age - 0.4) + np.exp(-3 * distance) * (1 + rooms) + 0.3 * np.sin(9 * rooms) + noise
    features = np.column_stack([size, age, distance, rooms, random.normal(size=(600, 6))])
    target = (price - price.mean()) / price.std()
    return list(train_test_split(features, target, train_size=350, random_state=0))


def wine_svm(values: Values, seed: int) -> list[float]:
    """Log-loss, by three folds, of a support vector machine that tells three wines apart by four noisy features."""
    del seed
    wines = load_wine()
    features = wines.data[:, [0, 1, 2, 10]]
    scaler = {"none": FunctionTransformer, "standard": StandardScaler, "minmax": MinMaxScaler}[values["scaler"]]()
    model = make_pipeline(
        scaler, SVC(C=values["C"], gamma=values["gamma"], kernel=values["kernel"], coef0=values["coef0"])
    )
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    found = cross_val_predict(model, features, wines.target, cv=folds, method="decision_function")
    return [float(log_loss(wines.target, softmax(found, axis=1)))]


def cancer_linear(values: Values, seed: int) -> list[float]:
    """Log-loss of a linear model for breast cancer, by passes over 250 patients."""
    features, target = _cancer()
    features = StandardScaler().fit_transform(features)
    model = SGDClassifier(
        loss="log_loss",
        penalty="elasticnet",
        alpha=values["alpha"],
        l1_ratio=values["l1_ratio"],
        learning_rate=values["schedule"],
        eta0=values["eta0"],
        power_t=values["power_t"],
        average=values["average"],
        random_state=seed,
    )
    losses = []
    for _ in range(values["passes"]):
        with np.errstate(all="ignore"):
            model.partial_fit(features[:250], target[:250], classes=range(2))
            found = np.clip(np.nan_to_num(model.predict_proba(features[250:])), 1e-4, 1.0)
        losses.append(float(log_loss(target[250:], found / found.sum(axis=1, keepdims=True))))
    return losses


def diabetes_trees(values: Values, seed: int) -> list[float]:
    """Squared error of few random trees for diabetes, by three folds."""
    features, target = _diabetes()
    model = ExtraTreesRegressor(
        n_estimators=values["trees"],
        max_depth=values["max_depth"],
        min_samples_leaf=values["min_samples_leaf"],
        min_samples_split=values["min_samples_split"],
        max_features=values["max_features"],
        bootstrap=values["bootstrap"],
        random_state=seed,
    )
    return [float(np.mean((cross_val_predict(model, features, target, cv=3) - target) ** 2))]
