"""The errors that a user can fix. A command prints their text, one sentence, and exits."""


class ConfigError(ValueError):
    """A config is not valid; the text has the key, the value, the rule and the fix."""


class RunError(RuntimeError):
    """A run cannot continue; the text says what happened, where, and what to do."""


class WorkdirError(ValueError):
    """A workdir cannot be read; the text has the path, what is wrong with it, and the fix."""


class UnsafeFileError(WorkdirError, RunError):
    """A file of a workdir is refused, unread: a link, a FIFO, too large, or not readable. For readers and runs."""


class ColumnError(WorkdirError, KeyError):
    """The rows of a workdir have no column of this name. A KeyError too, as columns are read from a mapping."""

    __str__ = ValueError.__str__  # KeyError.__str__ returns the repr of the text
