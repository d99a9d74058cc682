"""The errors that a user can mend. A command prints their text, one sentence, and exits."""


class ConfigError(ValueError):
    """A config is not valid: the key, the value, the rule and the fix."""


class RunError(RuntimeError):
    """A run cannot go on: what happened, where, and what to do."""


class WorkdirError(ValueError):
    """A workdir cannot be read: what is wrong with which path, and the fix."""


class ColumnError(WorkdirError, KeyError):
    """The rows of a workdir have no column of this name. A KeyError too, as columns are read from a mapping."""

    __str__ = ValueError.__str__  # that of a KeyError shows the repr of the text
