"""What is played. A scenario is a function that is marked as one and is given a stage."""


def scenario(function):
    function.scenario = True
    return function
