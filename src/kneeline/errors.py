"""The two ways in which kneeline says no."""


class UsageError(Exception):
    """The call, the config or a sheet is wrong: nothing was done, the command exits with 2."""


class Refusal(Exception):
    """A scan cannot be used. It becomes one quarantine row; the other scans go on.

    Parameters
    ----------
    code
        Machine-readable cause, one word with underscores (`missing_slice`). It names the rule that refused.
    reason
        One sentence in plain words: what was expected, what came, the way out. It may be shown to anyone,
        so it never holds text taken from a DICOM header.
    """

    def __init__(self, code: str, reason: str):
        super().__init__(reason)
        self.code = code
        self.reason = reason
