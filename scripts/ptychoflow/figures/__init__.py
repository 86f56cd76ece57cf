"""What people look at: figures of a result, and pages that compare runs and list warnings."""
