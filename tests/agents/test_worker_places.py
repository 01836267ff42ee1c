"""The directory and the ids of a run, as its command line and its process get them."""

from __future__ import annotations

import json
from pathlib import Path

from sandboxes import Sandbox

SAYS = """
    import json, os, sys, lightsweep
    with lightsweep.init() as run:
        run.log({"loss": run.config.x})
        names = ("RUN_DIR", "RUN_ID", "SWEEP_ID")
        said = {name: os.environ.get(f"LIGHTSWEEP_{name}") for name in names}
        said |= {"arguments": sys.argv[1:], "id": run.id, "number": run.number, "name": run.name, "dir": str(run.dir)}
        open(f"said-{run.id}.json", "w").write(json.dumps(said))
"""
COMMAND = ["${interpreter}", "${program}", "--out=${run_dir}/out", "${run_id}", "${sweep_id}"]


def said(sandbox: Sandbox) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(sandbox.directory.glob("said-*.json"))]


def test_a_run_finds_its_directory_and_ids_in_macros_variables_and_its_run(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(SAYS, command=COMMAND)
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stdout + done.stderr
    for number, found in enumerate(said(sandbox), start=1):
        home = str(sandbox.directory / "lightsweep_runs" / sweep / f"{number:04d}")
        run = f"{sweep}-{number:04d}"
        assert found == {
            "RUN_DIR": home,
            "RUN_ID": run,
            "SWEEP_ID": sweep,
            "arguments": [f"--out={home}/out", run, sweep],
            "id": run,
            "number": f"{number:04d}",
            "name": run,
            "dir": home,
        }
    assert len(said(sandbox)) == 3
    assert [run.directories for run in sandbox.runs(sweep)] == [(found["dir"],) for found in said(sandbox)]
    assert [run.id for run in sandbox.runs(sweep)] == ["0001", "0002", "0003"]  # as people see them


def test_a_parameter_of_that_name_goes_first(sandbox: Sandbox) -> None:
    parameters = {"x": {"value": 1}, "run_id": {"values": ["mine"]}}
    sweep = sandbox.sweep(SAYS, command=["${interpreter}", "${program}", "${run_id}"], parameters=parameters)
    assert sandbox.call("agent", sweep, "--storage", sandbox.storage).returncode == 0
    assert [found["arguments"] for found in said(sandbox)] == [["mine"]]


def test_a_run_is_named_by_its_number_or_by_its_id(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(SAYS, command=COMMAND)
    assert sandbox.call("agent", sweep, "--storage", sandbox.storage).returncode == 0
    trained = said(sandbox)
    for run in (f"{sweep}-0002", f"{sweep}/0002", "0002"):
        done = sandbox.call("apply", sweep, "--run", run, "--storage", sandbox.storage)
        assert done.returncode == 0, done.stderr
        assert "run 0002 (finished): loss 2" in done.stderr
        (applied,) = (found for found in said(sandbox) if found not in trained)
        assert applied["id"] == f"{sweep}-0002-applied"
        assert applied["arguments"] == [f"--out={applied['RUN_DIR']}/out", applied["id"], sweep]
        assert Path(str(applied["RUN_DIR"])).is_dir()
        (sandbox.directory / f"said-{applied['id']}.json").unlink()
        refused = sandbox.ask("retry", sweep, run, "--storage", sandbox.storage)
        assert (refused.returncode, refused.stderr) == (
            2,
            "error: run 0002 is finished; only failed and killed runs can be retried\n",
        )
    other = sandbox.ask("retry", sweep, "abcd1234-0002", "--storage", sandbox.storage)
    assert f"error: sweep {sweep} has no run 'abcd1234-0002'" in other.stderr


def test_prior_runs_are_named_by_their_ids(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(SAYS, command=COMMAND)
    assert sandbox.call("agent", sweep, "--storage", sandbox.storage).returncode == 0
    parameters = {"x": {"min": 0.0, "max": 9.0}}
    later = sandbox.sweep(method="bayes", parameters=parameters, lightsweep={"prior_runs": [f"{sweep}-0002"]})
    assert [(run.prior, run.values) for run in sandbox.runs(later)] == [(True, {"x": 2})]
