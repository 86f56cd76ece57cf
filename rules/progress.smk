# While jobs run, their progress is shown; those that were given what they cannot use are not tried again.

import logging

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_executor_plugins.settings import ExecMode
from snakemake_interface_logger_plugins.common import LogEvent

from ptychoflow.running.job_logs import FollowedJobs, was_refused


class JobEvents(logging.Handler):
    """Hears from Snakemake's logger which jobs begin and end, and follows the logs of those that run."""

    def __init__(self):
        super().__init__()
        self.followed = FollowedJobs(self.show)

    def show(self, sentence):
        logger.info(sentence, extra={"quietness": Quietness.PROGRESS})

    def emit(self, record):
        if workflow.dryrun:
            return
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.followed.begin(record.jobid, record.rule_msg or record.rule_name, list(record.log))
        elif event == LogEvent.JOB_FINISHED:
            self.followed.end(record.job_id)
        elif event == LogEvent.JOB_ERROR:
            job = self.followed.end(record.jobid)
            if job is not None and was_refused(job):
                try_no_more(record.jobid)

    def close(self):
        self.followed.stop()
        super().close()


def try_no_more(jobid):
    """Let the attempt that failed be a job's last one."""
    for job in workflow.dag.jobs:
        if workflow.dag.jobid(job) == jobid:
            # The public attribute would ask for the resources of a further attempt, and those would be given back.
            job._attempt = job.restart_times + 1


# Jobs run in a Snakemake of their own, and modules of one workflow share the logger: one that hears is enough.
if workflow.exec_mode == ExecMode.DEFAULT and "JobEvents" not in map(
    lambda h: type(h).__name__, logger.handlers
):
    logger.addHandler(JobEvents())
