"""The child process of a worker, with real processes: death of any kind is noticed, told once, and can be mended."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from latentcast.worker import Worker
from latentcast.worker_child import NICENESS

MODULE = "tests.latentcast.worker_double"
TIMEOUT_S = 30.0


class Probe:
    """A worker, and its callbacks as things to wait for."""

    def __init__(self, arguments: str = "job") -> None:
        self.ready = asyncio.Event()
        self.results: asyncio.Queue[object] = asyncio.Queue(4)
        self.deaths: list[str] = []
        self.died = asyncio.Event()
        self.worker = Worker(
            module=MODULE,
            arguments=arguments,
            on_ready=self.ready.set,
            on_result=self.results.put_nowait,
            on_death=self._on_death,
        )

    def _on_death(self, reason: str) -> None:
        self.deaths.append(reason)
        self.died.set()

    async def start(self) -> None:
        self.ready.clear()
        self.worker.start()
        await wait(self.ready)

    async def ask(self, job: str) -> object:
        self.worker.submit(job)
        async with asyncio.timeout(TIMEOUT_S):
            return await self.results.get()


async def wait(event: asyncio.Event) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await event.wait()


@pytest.mark.asyncio
async def test_jobs_are_done_one_after_the_other_in_one_child() -> None:
    probe = Probe("said")
    await probe.start()
    pid = probe.worker.pid
    assert pid != os.getpid()
    assert [await probe.ask(word) for word in ("a", "b")] == [f"said a by {pid}", f"said b by {pid}"]
    assert not probe.worker.busy
    await probe.worker.stop()
    assert probe.deaths == [], "a child that was stopped has not died"


@pytest.mark.asyncio
async def test_a_child_yields_to_event_loops_and_leaves_control_c_to_its_parent() -> None:
    probe = Probe()
    await probe.start()
    assert await probe.ask("niceness") == min(19, os.nice(0) + NICENESS)
    assert "interrupt" in str(await probe.ask("interrupt"))
    await probe.worker.stop()


@pytest.mark.asyncio
async def test_a_refusal_is_passed_on_in_the_childs_own_words() -> None:
    probe = Probe("refuse")
    probe.worker.start()
    await wait(probe.died)
    assert probe.deaths == ["the cellar is full; empty it."]
    assert probe.worker.refused
    assert probe.worker.pid is None


@pytest.mark.asyncio
async def test_a_job_that_cannot_be_done_is_refused_in_the_childs_own_words() -> None:
    probe = Probe()
    await probe.start()
    probe.worker.submit("refuse")
    await wait(probe.died)
    assert probe.deaths == ["the cup is too small; take a larger one."]
    assert probe.worker.refused, "trying again would change nothing"


@pytest.mark.asyncio
@pytest.mark.parametrize(("job", "reason"), [("crash", "ended with code 7"), ("raise", "ended with code 1")])
async def test_a_crash_is_told_once_and_the_worker_can_be_started_again(job: str, reason: str) -> None:
    probe = Probe()
    await probe.start()
    probe.worker.submit(job)
    await wait(probe.died)
    assert len(probe.deaths) == 1
    assert reason in probe.deaths[0]
    assert (probe.worker.ready, probe.worker.busy) == (False, False)
    await probe.start()
    assert str(await probe.ask("again")).startswith("job again")
    await probe.worker.stop()
    assert len(probe.deaths) == 1


@pytest.mark.asyncio
async def test_an_idle_child_that_is_killed_is_noticed_at_once_and_leaves_no_zombie() -> None:
    probe = Probe()
    await probe.start()
    pid = probe.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await wait(probe.died)
    assert "SIGKILL" in probe.deaths[0]
    assert not psutil.pid_exists(pid)


@pytest.mark.asyncio
async def test_a_job_for_a_child_that_has_just_gone_is_reported_not_raised() -> None:
    probe = Probe()
    await probe.start()
    pid = probe.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    # Not a step of the event loop in between: the parent has not heard of it yet.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  # on purpose
    probe.worker.submit("late")
    await wait(probe.died)
    assert len(probe.deaths) == 1
    await probe.worker.stop()


@pytest.mark.asyncio
async def test_a_child_that_fails_before_it_is_ready_is_a_death() -> None:
    probe = Probe("fail")
    probe.worker.start()
    await wait(probe.died)
    assert not probe.ready.is_set()
    assert "ended with code 1" in probe.deaths[0]


@pytest.mark.asyncio
async def test_stopping_is_safe_twice_and_before_the_start_and_gives_every_descriptor_back() -> None:
    probe = Probe()
    await probe.worker.stop()
    open_before = psutil.Process().num_fds()
    await probe.start()
    pid = probe.worker.pid
    assert pid is not None
    await asyncio.gather(probe.worker.stop(), probe.worker.stop())
    await probe.worker.stop()
    assert not psutil.pid_exists(pid)
    assert psutil.Process().num_fds() == open_before
    assert probe.deaths == []


def test_a_child_ends_when_its_parent_is_killed() -> None:
    code = (
        "import asyncio\n"
        "from latentcast.worker import Worker\n"
        "async def main():\n"
        "    worker = Worker(module='tests.latentcast.worker_double', arguments='x', on_result=print, on_death=print,\n"
        "                    on_ready=lambda: print(worker.pid, flush=True))\n"
        "    worker.start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        # An orphan has no parent here that could reap it: a zombie has ended too.
        deadline = time.monotonic() + TIMEOUT_S
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
