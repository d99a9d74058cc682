"""Controllers of any task: pure `(init, update)` pairs that read Signals and change Controls, composed by name."""
