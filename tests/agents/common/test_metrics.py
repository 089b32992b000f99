from __future__ import annotations

import errno
import io
import json
import math

import pytest

from optgap.agents.common.metrics import MetricsLog, read_metrics
from optgap.co.core import InputError


def test_resuming_removes_what_came_after_the_checkpoint(tmp_path):
    with MetricsLog(tmp_path) as log:
        for update in range(1, 6):
            log.write(update, 10 * update, {"loss": 1 / update})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"update": 6, "ste')  # killed while writing
    assert [line["update"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4, 5]
    with MetricsLog(tmp_path, updates=3, steps=30) as log:
        log.write(4, 41, {"loss": 0.5})
    lines = read_metrics(tmp_path)
    assert [(line["update"], line["steps"]) for line in lines] == [(1, 10), (2, 20), (3, 30), (4, 41)]
    assert lines[2]["loss"] == 1 / 3  # exactly


def test_lines_are_on_the_disk_at_once_and_valid_json(tmp_path):
    log = MetricsLog(tmp_path)
    log.write(1, 8, {"loss": math.nan, "kl": math.inf, "return": 2.0})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "update": 1,
        "steps": 8,
        "loss": None,
        "kl": None,
        "return": 2.0,
    }
    log.close()


def test_tensorboard_reads_the_events(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    with MetricsLog(tmp_path) as log:
        log.write(1, 100, {"episode/return": 1.5})
        log.write(2, 200, {"episode/return": 2.5})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("episode/return")] == [(100, 1.5), (200, 2.5)]


@pytest.mark.parametrize("line", ["not json", "[1]", '{"steps": 1}', '{"update": "one"}'])
def test_a_file_that_is_something_else(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text('{"update": 1, "steps": 1}\n' + line + "\n")
    with pytest.raises(InputError, match=r"metrics.jsonl:2: expected a json object"):
        MetricsLog(tmp_path, updates=1)
    with pytest.raises(InputError, match="unreadable"):
        read_metrics(tmp_path / "nowhere")


def test_a_full_disk_is_one_line(tmp_path):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")

    log = MetricsLog(tmp_path)
    log._stream.close()
    log._stream = Full()  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"metrics.jsonl: cannot be written: No space left on device"):
        log.write(1, 10, {"train/loss": 1.0})
    log.close()
