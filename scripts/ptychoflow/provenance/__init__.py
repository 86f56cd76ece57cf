"""Where each result came from: the record that is written with it, and the crate of a whole run."""
