"""Trains any task: one pure step, scanned over steps, vmapped over runs, in one host loop."""
