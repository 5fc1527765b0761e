"""What is special of detached processes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.engines.tasks import living, script, standing, until, wait_for
from vqa.jobs.engines.base import Standing, Task
from vqa.jobs.engines.local import Handle, LocalEngine
from vqa.jobs.record import Resources
from vqa.jobs.settings import LocalSettings


def test_what_a_task_leaves_behind_is_gone_before_it_has_ended(tmp_path: Path) -> None:
    engine = LocalEngine(LocalSettings())
    daemon = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
    task = script(tmp_path, "leaver", f"import subprocess\n{daemon}\nopen('left', 'w')")
    handle = engine.submit(task)
    wait_for(engine, handle, Standing.ENDED)
    assert (task.run_dir / "left").exists()
    assert living("leaver") == []


def test_a_number_that_is_used_again_is_not_taken_for_the_task() -> None:
    engine = LocalEngine(LocalSettings())
    stranger = Handle("gone", 1, os.getpid(), 12345.0)
    assert standing(engine, str(stranger)) is Standing.ENDED
    engine.cancel(str(stranger), force=False)  # TERM would end this test
    engine.cancel(str(stranger), force=True)


def test_a_task_outlives_the_program_that_started_it(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tests.jobs.engines.tasks import script
from vqa.jobs.engines.local import LocalEngine
from vqa.jobs.settings import LocalSettings
text = "open('ready', 'w')\\nwhile not os.path.exists('stop'): time.sleep(0.05)"
print(LocalEngine(LocalSettings()).submit(script(Path({str(tmp_path)!r}), "orphan", text)), flush=True)
import os; os.kill(os.getpid(), 9)
"""
    started = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False
    )
    handle = started.stdout.strip()
    engine = LocalEngine(LocalSettings())
    assert standing(engine, handle) is Standing.RUNNING
    run_dir = script(tmp_path, "orphan", "").run_dir
    until((run_dir / "ready").exists)
    (run_dir / "stop").touch()
    wait_for(engine, handle, Standing.ENDED)


def test_a_handle_is_read_as_it_was_written() -> None:
    handle = Handle("job", 3, 12, 1234567.25)
    assert Handle.parse(str(handle)) == handle


def test_a_task_sees_the_gpus_that_it_was_given(tmp_path: Path) -> None:
    gpu = Resources(accelerator="gpu", devices=2, cores=8)
    task = Task("j", 1, tmp_path, gpu, ("1", "3"))
    assert task.environment()["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert task.environment()["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # the order of those numbers
    assert task.environment()["OMP_NUM_THREADS"] == "4"
    assert Task("j", 1, tmp_path, Resources()).environment()["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("accelerator", "devices", "share"), [("gpu", 1, 0.225), ("gpu", 2, 1.0), ("cpu", 1, 1.0)]
)
def test_a_task_is_told_how_much_of_its_gpu_it_may_take(
    tmp_path: Path, accelerator: Any, devices: int, share: float
) -> None:
    engine = LocalEngine(LocalSettings(gpus=("0", "1"), jobs_per_gpu=4))
    assert engine.capacity().jobs_per_gpu == 4
    text = "open('share', 'w').write(os.environ['VQA_GPU_SHARE'])"
    task = script(tmp_path, f"sharing-{accelerator}-{devices}", text)  # jobs are swept by name
    wanted = Resources(accelerator=accelerator, devices=devices)
    wait_for(engine, engine.submit(replace(task, resources=wanted)), Standing.ENDED)
    assert float((task.run_dir / "share").read_text()) == share


def test_settings_narrow_what_the_machine_has() -> None:
    settings = LocalSettings(gpus=("1",), cores=1, memory_mb=100)
    capacity = LocalEngine(settings).capacity()
    assert (capacity.gpus, capacity.cores, capacity.memory_mb) == (("1",), 1, 100)
    everything = LocalEngine(LocalSettings()).capacity()
    assert everything.cores >= 1
    assert everything.memory_mb > 100
