"""What is played. A scenario is a function that is marked as one and is given a stage."""


def scenario(function):
    function.alone = False
    return function


def alone(function):
    """A scenario that changes what the whole cluster shares."""
    function.alone = True
    return function
