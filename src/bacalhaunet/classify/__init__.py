"""Labels for frames and recordings, and how right they are."""
