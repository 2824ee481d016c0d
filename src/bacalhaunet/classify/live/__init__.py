"""Live radio: from a stream of samples to labelled signals while it runs, never holding the source up."""
