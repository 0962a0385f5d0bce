"""What waits for a GPU: the declared steps, running them with interruptions, and the list of how far they are."""
