"""Trains any task: one pure step, scanned over steps, vmapped over runs, in a host loop that nothing kills."""
