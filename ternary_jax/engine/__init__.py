"""Training of any task: one pure step, scanned over steps, vmapped over runs, driven by one host loop."""
