"""Functions of a model's variables that JAX compiles as one program."""

import keras


def one_program(model, function):
    """Returns what does as a function; JAX compiles it once for all shapes of a kind.

    Else it would compile each operation alone, which takes longer than all together.
    Other backends compile nothing.

    Args:
        model: The model whose variables the function reads. It changes none.
        function: A function of tensors that returns tensors.
    """
    if keras.backend.backend() != "jax":
        return function
    import jax

    @jax.jit
    def compiled(values, *arguments):
        mapping = zip(model.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    def run(*arguments):
        return compiled([variable.value for variable in model.variables], *arguments)

    return run
