"""Controllers of training: `(init, update)` pairs over what they see and what they may turn, composed by `chain`."""
