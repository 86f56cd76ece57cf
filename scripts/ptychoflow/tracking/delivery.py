"""What brings a journal into MLflow's store: the run that takes it, and each line once."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.tracking.journal import LANES, Journal, Sent, journals_below
from ptychoflow.tracking.mlflow_entries import PARENT_TAG, SENDERS, parent_run
from ptychoflow.tracking.mlflow_store import connect, creation_lock, experiment_of, reason_of, without_password

log = logging.getLogger(__name__)

RUN_FILE = "mlflow_run_id"
JOURNAL_TAG, PREDECESSOR_TAG = "ptychoflow.journal", "predecessor"
AT_ONCE = 200
"""Lines of a journal that are sent together at most."""
MOST_METRICS, MOST_PARAMS = 1000, 100  # that MLflow takes at once


class Delivery:
    """Sends a journal to a store, from where it was left.

    Parameters
    ----------
    journal : Journal
        Begun by the training.
    uri : str
        MLflow's store.
    """

    def __init__(self, journal: Journal, uri: str) -> None:
        self.journal, self.uri = journal, uri
        self.client: Any = None
        self.sent = journal.sent()
        if self.sent.uri != without_password(uri):
            self.sent = Sent(without_password(uri))
        self.refused: list[str] = []

    def connect(self) -> None:
        """Find the run that takes the journal, or create it.

        Raises
        ------
        InputError
            Where the store cannot be used, or the experiment was deleted.
        """
        client = connect(self.uri)
        try:
            self._find_run(client)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"MLflow's store {without_password(self.uri)} takes no run ({reason_of(error)}): expected one that "
                "can be written to; tracking.require false lets the training begin without it"
            ) from None
        self.client = client

    def _find_run(self, client: Any) -> None:
        from mlflow.exceptions import MlflowException

        begin = self.journal.begin()
        experiment = experiment_of(client, self.uri, begin["experiment"])
        known = self.sent.run_id
        if known is not None:
            try:
                if client.get_run(known).info.lifecycle_stage == "active":
                    return
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        tags = {JOURNAL_TAG: begin["key"], "mlflow.runName": begin["name"]}
        if known is not None:
            log.warning("MLflow's run %s was deleted: a new one takes all that it had", known)
            tags[PREDECESSOR_TAG] = known
        for parent in begin.get("parents", ()):
            tags[PARENT_TAG] = parent_run(client, self.uri, experiment, parent, tags.get(PARENT_TAG))
        # An answer may have been lost after the run was created.
        same = client.search_runs([experiment], f"tags.`{JOURNAL_TAG}` = '{begin['key']}'", max_results=1)
        with creation_lock(self.uri):
            run = same[0] if same else client.create_run(experiment, tags=tags)
        self.sent = Sent(self.sent.uri, run.info.run_id)
        self.journal.keep_sent(self.sent)
        with replacing(self.journal.folder / RUN_FILE) as temporary:
            temporary.write_text(run.info.run_id, encoding="utf-8")

    def deliver(self) -> dict[str, str]:
        """Send what waits.

        Returns
        -------
        dict
            For each of ``values`` and ``files`` that could not be sent, the reason in one line.
        """
        failures = {}
        try:
            if self.client is None:
                self.connect()
        except Exception as error:
            return dict.fromkeys(LANES, reason_of(error))
        for lane in LANES:
            try:
                while self._send_some(lane):
                    self.journal.keep_sent(self.sent)
            except Exception as error:
                failures[lane] = reason_of(error)
        if "values" in failures:
            self.client = None  # the run itself may be gone
        return failures

    def _send_some(self, lane: str) -> bool:
        entries, end = self.journal.lane(lane, getattr(self.sent, lane), AT_ONCE if lane == "values" else 1)
        if entries:
            self._send(entries)
        setattr(self.sent, lane, end)
        return bool(entries)

    def _send(self, entries: list[dict[str, Any]]) -> None:
        """Send lines; one that the store will never take is left out, so that it holds up no other."""
        from mlflow.exceptions import MlflowException

        try:
            self._send_together(entries)
        except MlflowException as error:
            active = self.client.get_run(self.sent.run_id).info.lifecycle_stage == "active"
            if error.error_code != "INVALID_PARAMETER_VALUE" or not active:
                raise
            if len(entries) == 1:
                log.warning("MLflow refuses %.80s, which is left out: %s", entries[0], reason_of(error))
                return
            for entry in entries:
                self._send([entry])

    def _send_together(self, entries: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run, metrics, params, tags = self.sent.run_id, [], [], {}
        for entry in entries:
            kind = entry["kind"]
            if kind == "metrics":
                metrics += [Metric(key, value, entry["time"], entry["step"]) for key, value in entry["values"].items()]
            elif kind == "params":
                params += [Param(key, value) for key, value in entry["params"].items()]
            elif kind == "tags":
                tags |= entry["tags"]
        for first in range(0, max(len(metrics), len(params)), MOST_PARAMS):
            part = slice(first, first + MOST_PARAMS)
            if params[part]:
                self.client.log_batch(run, params=params[part])
        for first in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(run, metrics=metrics[first : first + MOST_METRICS])
        if tags:
            self.client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])
        for entry in entries:
            if entry["kind"] in SENDERS:
                SENDERS[entry["kind"]](self.client, run, self.journal.folder, entry)


def delivery_of(journal: Journal, uri: str | None) -> Delivery:
    """What sends a journal to the store it was meant for, by an address of that store where one is given."""
    meant = journal.begin()["uri"]
    return Delivery(journal, uri if uri and without_password(uri) == meant else meant)


def deliver_waiting(results: Path, uri: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Send what trainings below a folder could not send, each to the store it was meant for.

    Parameters
    ----------
    results : Path
        Folder of results.
    uri : str, optional
        Address with which to reach a store of the same name, such as one with a password.

    Returns
    -------
    tuple of dict
        Run ids of journals that are sent, and reasons of those that wait on, by the run folder.
    """
    done, waiting = {}, {}
    for journal in journals_below(results):
        if not journal.try_lock():
            continue  # its training is alive, and sends it
        try:
            delivery = delivery_of(journal, uri)
            failures = delivery.deliver()
            if failures:
                waiting[str(journal.folder)] = next(iter(failures.values()))
            else:
                done[str(journal.folder)] = str(delivery.sent.run_id)
        finally:
            journal.close()
    return done, waiting


class Outbox(threading.Thread):
    """Sends a journal beside a training, which never waits for it until it ends.

    Parameters
    ----------
    delivery : Delivery
        How.
    watch : callable, optional
        Called again and again, at last with True, to look at the machine.
    """

    SECONDS = 1.0
    """Between two looks into the journal."""

    def __init__(self, delivery: Delivery, watch: Callable[[bool], None] | None = None) -> None:
        super().__init__(name="mlflow", daemon=True)
        self.delivery = delivery
        self.watch = watch
        self.failures: dict[str, str] = {}
        self.warned: set[str] = set()
        self.woken, self.looked = threading.Event(), threading.Condition()
        self.asked = self.answered = 0
        self.closing = False

    def run(self) -> None:
        while True:
            asked, closing = self.asked, self.closing  # in this order: who closes asks afterwards
            if self.watch:
                self.watch(closing)
            if asked > self.answered or not self.failures:
                self.failures = self.delivery.deliver()
                self.warn()
            with self.looked:
                self.answered = asked
                self.looked.notify_all()
            if closing:
                return
            self.woken.wait(self.SECONDS)
            self.woken.clear()

    def warn(self) -> None:
        """Say what is lost, the first time that values and that files cannot be sent."""
        new = self.failures.keys() - self.warned
        if not new or self.failures.keys() & self.warned:
            return
        self.warned |= new
        log.warning(
            "MLflow takes no %s (%s): they wait in %s, and are sent at the end of an epoch once it takes them again, "
            "or by close_runs.py; the training goes on",
            "values and files" if len(new) == len(LANES) else next(iter(new)),
            self.failures[next(iter(new))],
            self.delivery.journal.path,
        )

    def try_again(self) -> None:
        """At the end of an epoch: see whether the store is back."""
        self.asked += 1

    def flush(self, patience: float) -> None:
        """Wait until all is sent, for as long as the store takes some within so many seconds."""
        self.asked += 1
        mine, before = self.asked, None
        self.woken.set()
        with self.looked:
            while self.is_alive() and not self.looked.wait_for(lambda: self.answered >= mine, patience):
                now = (self.delivery.sent.values, self.delivery.sent.files)
                if now == before:
                    return
                before = now

    def close(self, patience: float) -> None:
        """Send the rest, and say what is left."""
        self.closing = True
        self.flush(patience)
        if waiting := self.delivery.journal.waiting():
            log.warning(
                "%d lines of %s have not reached MLflow (%s): close_runs.py sends them when it takes some again",
                waiting,
                self.delivery.journal.path,
                next(iter(self.failures.values()), "it does not answer"),
            )
