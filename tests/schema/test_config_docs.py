"""docs/configuration.md names every key, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightsweep.schema import Metric, Options, Scheduler, SweepConfig
from lightsweep.schema.command import MACROS
from lightsweep.schema.distributions import DISTRIBUTIONS
from lightsweep.schema.fields import keys_of
from lightsweep.schema.parameters import known_keys
from lightsweep.schema.sections import SERVICE_KEYS, TopLevel
from lightsweep.schema.stages import StageKeys
from lightsweep.schema.stopping import STOPPING, EarlyTerminate

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT + (DOCS / "stages.md").read_text(encoding="utf-8"), re.DOTALL)
NEEDED = {"method": "random", "parameters": "{batch_size: {value: 1}}", "metric": "{name: loss}"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_loads_without_a_warning(tmp_path: Path, example: str) -> None:
    given = set(re.findall(r"^(\w+):", example, re.MULTILINE)) | ({"metric"} if "metrics:" in example else set())
    path = tmp_path / "sweep.yaml"
    rest = [f"{key}: {value}\n" for key, value in NEEDED.items() if key not in given]
    path.write_text(example + "".join(rest), encoding="utf-8")
    assert SweepConfig.load(path).warnings == ()


def test_every_key_is_described() -> None:
    rules = [keys for keys, _ in STOPPING.values()]
    models = (TopLevel, Metric, EarlyTerminate, Scheduler, Options, StageKeys, *rules)
    keys = {key for model in models for key in keys_of(model)} | {
        *SERVICE_KEYS,
        *known_keys(),
        *DISTRIBUTIONS,
        *STOPPING,
    }
    keys |= {f"${{{macro}}}" for macro in MACROS}
    assert [key for key in sorted(keys) if f"`{key}`" not in TEXT] == []
