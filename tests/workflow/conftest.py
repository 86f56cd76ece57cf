from workflow_runs import finished

__all__ = ["finished"]
