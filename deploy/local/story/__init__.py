"""The story of the network, played on a running stack through its public doors: by `make demo` and by its test."""
