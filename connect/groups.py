"""Groups of tasks: what went wrong in them."""


def first_of(error: BaseException) -> BaseException:
    """What went wrong first, out of what a group of tasks collected."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
