"""A batch elsewhere: on a cluster, on hosts, or on several of them at once; results are collected as they come.

Everything is noted in ``batch-jobs.json`` in the folder of the results before it is submitted. A sample belongs to a
job as long as its key, made of options and contents, is the one that was submitted. The same command continues.
"""

from __future__ import annotations

import argparse
import contextvars
import threading
from collections.abc import Sequence

from MgImplantSegLib.base.errors import Cancelled, MgImplantSegError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.batch_board import Board
from MgImplantSegLib.cli.batch_pool import Pool
from MgImplantSegLib.cli.batch_samples import Sample
from MgImplantSegLib.cli.batch_site import Site, UnusableEnvironment
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.watch import pause

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.3, 5.0
SECONDS_UNTIL_ASKED_AGAIN = 30.0


def run_elsewhere(
    samples: Sequence[Sample],
    arguments: argparse.Namespace,
    environments: Sequence[Environment],
    board: Board,
    events: Events,
) -> None:
    """Collect what was submitted before, submit what is left, and follow all to its end.

    Raises Cancelled if the events are cancelled; the jobs continue, or are stopped where that was chosen;
    MgImplantSegError if the environment, or the last of several, cannot be reached or refuses.
    """
    events.check_cancelled()
    pool = Pool(samples, arguments, board, events)
    stop = threading.Event()
    own = Events(pool.pass_on, is_cancelled=stop.is_set)
    is_alone = len(environments) == 1
    sites = {env.name: Site(env, pool, events if is_alone else own, is_alone) for env in environments}
    for array in pool.arrays_of(list(sites)):
        sites[array.environment].take_up(array)
    if is_alone:
        _serve_alone(sites[environments[0].name], events)
    else:
        _serve_together(list(sites.values()), pool, stop, events)


def _serve_alone(site: Site, events: Events) -> None:
    """All samples in one environment; an error ends it, and the same command continues."""
    with Backend(site.environment) as backend:
        try:
            site.collect(backend, is_first=True)
            site.submit(backend)
            wait_s = SHORTEST_WAIT_S
            while not site.is_idle:
                has_news = site.collect(backend)
                wait_s = SHORTEST_WAIT_S if has_news else min(2 * wait_s, LONGEST_WAIT_S)
                pause(0.0 if site.is_idle else wait_s, events)
        except (Cancelled, KeyboardInterrupt):
            site.leave(backend)
            raise


class _Server(threading.Thread):
    """Serves one of several environments; `problem` is what has ended it before all samples were done."""

    def __init__(self, site: Site, pool: Pool, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.problem: BaseException | None = None
        self.is_away: MgImplantSegError | None = None
        self._pool, self._stop_event = pool, stop
        self._context = contextvars.copy_context()
        self._is_first = True

    def run(self) -> None:
        """Until all samples are done or the user stops; an environment that does not answer is asked again later."""
        try:
            self._context.run(self._serve)
        except BaseException as error:
            self.problem = error

    def _serve(self) -> None:
        while not (self._pool.is_done or self._stop_event.is_set()):
            try:
                self._work()
            except UnusableEnvironment as error:
                self._give_up(error)
                return
            except MgImplantSegError as error:
                self._give_up(error)
                self._stop_event.wait(SECONDS_UNTIL_ASKED_AGAIN)

    def _work(self) -> None:
        with Backend(self.site.environment) as backend:
            self.site.stop_what_was_given_up(backend)
            self.site.collect(backend, is_first=self._is_first)
            self._is_first, self.is_away = False, None
            self._pool.joins(self.site.name)
            wait_s = SHORTEST_WAIT_S
            while not (self._pool.is_done or self._stop_event.is_set()):
                self.site.submit(backend)
                has_news = self.site.collect(backend)
                wait_s = SHORTEST_WAIT_S if has_news else min(2 * wait_s, LONGEST_WAIT_S)
                self._stop_event.wait(0.0 if has_news else wait_s)
            if self._stop_event.is_set():
                self.site.leave(backend)

    def _give_up(self, error: MgImplantSegError) -> None:
        self.site.give_up()
        self._pool.leaves(self.site.name, str(error))
        self.is_away = error


def _serve_together(sites: Sequence[Site], pool: Pool, stop: threading.Event, events: Events) -> None:
    """Every environment by a thread of its own, until all samples are done or none of the environments can be used."""
    servers = [_Server(site, pool, stop) for site in sites]
    for server in servers:
        server.start()
    try:
        while not pool.is_done:
            pause(SHORTEST_WAIT_S, events)
            for server in servers:
                if server.problem is not None:
                    raise server.problem
            away = [server.is_away for server in servers if server.is_away is not None]
            if len(away) == len(servers) and not pool.is_done:
                raise away[-1]
    finally:
        stop.set()
        for server in servers:
            server.join()
