"""A worker that is killed leaves its jobs behind; they must hold up nobody."""

from __future__ import annotations

import pytest
from django.db import connections as databases

from justpayme.sync import jobs

pytestmark = pytest.mark.django_db


def worker(silent_seconds: int) -> int:
    """A worker of the job engine that last beat so long ago."""
    return _one(
        "INSERT INTO procrastinate_workers (last_heartbeat) "
        "VALUES (now() - make_interval(secs => %s)) RETURNING id",
        silent_seconds,
    )


def job(task: str, lock: str | None, status: str, worker_id: int | None) -> int:
    return _one(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status, worker_id) "
        "VALUES ('default', %s, %s, %s, %s) RETURNING id",
        *(task, lock, status, worker_id),
    )


def fetched(worker_id: int) -> int | None:
    """The job that the engine gives this worker."""
    return _one("SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)", worker_id)


def _one(sql: str, *values: object) -> int:
    with databases["default"].cursor() as cursor:
        cursor.execute(sql, values)
        found: int = cursor.fetchone()[0]
    return found


@pytest.mark.parametrize("lock", ["org:1", "tick"])
def test_a_killed_worker_does_not_hold_an_organisation_or_the_tick_for_ever(lock: str) -> None:
    job("sync_organisation", lock, "doing", worker(silent_seconds=31))
    waiting = job("sync_organisation", lock, "todo", None)
    fresh = worker(silent_seconds=0)
    assert fetched(fresh) is None
    assert jobs.forget_dead_jobs() == 1
    assert fetched(fresh) == waiting


def test_a_worker_that_died_before_the_clock_was_set_back_holds_nothing_until_then() -> None:
    """I-43: it last beat in what is now the future."""
    job("sync_organisation", "tick", "doing", worker(silent_seconds=-3600))
    assert jobs.forget_dead_jobs() == 1


def test_a_job_whose_worker_was_already_removed_is_forgotten() -> None:
    job("sync_organisation", "org:1", "doing", None)
    assert jobs.forget_dead_jobs() == 1


def test_jobs_of_a_worker_that_beats_and_jobs_that_wait_are_kept() -> None:
    job("sync_organisation", "org:1", "doing", worker(silent_seconds=20))
    job("sync_organisation", "org:1", "todo", None)
    assert jobs.forget_dead_jobs() == 0


def test_failed_jobs_are_forgotten_and_others_kept() -> None:
    job("sync_organisation", None, "failed", None)
    waiting = job("sync_organisation", None, "todo", None)
    assert jobs.forget_failed_jobs() == 1
    assert fetched(worker(silent_seconds=0)) == waiting


def test_the_reaper_needs_no_lock_so_that_its_own_death_cannot_stop_it() -> None:
    assert jobs.reap.lock is None
