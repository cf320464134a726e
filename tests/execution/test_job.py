from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

from fittingroom.execution.job import Job


def test_a_job_survives_json(job: Callable[..., Job]) -> None:
    """So that the parent finds its fits under way by the spec that comes back."""
    sent = replace(job("mlp-10-10", epochs=2, learning_rate=0.01), keep_model=False)
    back = Job.from_dict(json.loads(json.dumps(asdict(sent))))
    assert back == sent
    assert hash(back.spec) == hash(sent.spec)
    assert (back.spec.key, back.spec.path) == (sent.spec.key, sent.spec.path)
