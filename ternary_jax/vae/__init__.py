"""The ternary task: closed forms, metrics; the models that learn them."""
