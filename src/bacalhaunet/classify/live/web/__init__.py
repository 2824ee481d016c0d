"""The page that shows a session: files, and a server from the standard library."""
