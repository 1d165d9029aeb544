"""The one exception that is shown to a person without a traceback."""


class UserError(Exception):
    """A mistake outside the code (a config, a file, a checkpoint, a shape).

    Its text is one sentence that names the cause and the way out; the launchers print it and exit with 2.
    """
