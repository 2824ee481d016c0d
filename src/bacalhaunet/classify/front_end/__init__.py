"""The front end: finds signals in a capture and brings each to the frames that the networks know."""
