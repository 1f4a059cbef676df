"""What is wrong with histories or amounts; the message says what was found and what to do."""


class HistoryError(ValueError):
    """Purchase histories, spends or durations cannot be used as they are."""


class FitError(ValueError):
    """The histories are sound, but tell too little to estimate a model."""
