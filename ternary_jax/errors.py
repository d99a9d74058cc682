"""The errors that a user can fix. A command prints their text, one sentence, and exits."""

INTERRUPTED = 130  # exit status of a process that a signal ends before it has anything to save, as shells have it


class ConfigError(ValueError):
    """A config is not valid; the text has the key, the value, the rule and the fix."""


class RunError(RuntimeError):
    """A run cannot continue; the text says what happened, where, and what to do."""


class WorkdirError(ValueError):
    """A workdir cannot be read; the text has the path, what is wrong with it, and the fix."""


class UnsafeFileError(WorkdirError, RunError):
    """A file of a workdir is refused, unread: a link, a FIFO, too large, or not readable. For readers and runs."""


class ColumnError(WorkdirError, KeyError):
    """A workdir has no column or exported array of this name. A KeyError too, as both are read from a mapping."""

    __str__ = ValueError.__str__  # KeyError.__str__ returns the repr of the text


class QuestionError(ValueError):
    """A trained model cannot answer; the text has the value, the rule and the fix."""


class VerbError(QuestionError, AttributeError):
    """A trained model lacks what was asked for; the text says what its family offers. An AttributeError for hasattr."""


class ViewError(QuestionError):
    """A run has no picture of this name, or nothing to draw in it; the text says what there is, or what is needed."""


def one_line(error: Exception) -> str:
    """The first line of the text of an error, or the name of its class if it has no text."""
    return next(iter(f"{error}".splitlines()), "") or type(error).__name__
