"""Signs of life of a training or a prediction where no progress bar can be drawn: in a log file."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ptychoflow.running.progress import ProgressLog


class ProgressLines(Callback):
    """Says how far a training is, in steps, and how far a prediction is, in batches."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.progress = ProgressLog("step", int(trainer.estimated_stepping_batches))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *arguments: Any) -> None:
        def detail() -> str:
            # Only where a line is written: a loss that is read stops a GPU's queue.
            return f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, loss {float(outputs['loss']):.4g}"

        if trainer.is_global_zero:
            self.progress.tell(trainer.global_step, detail)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.progress = ProgressLog("batch", int(sum(trainer.num_predict_batches)))

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *arguments: Any
    ) -> None:
        if trainer.is_global_zero:
            self.progress.tell(batch_idx + 1)
