"""Controllers of any task: pure `(init, update)` pairs over what they see and what they may turn, composed by name."""
