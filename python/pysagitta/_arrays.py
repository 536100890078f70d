"""Turns arguments into what the core reads in place, or into an error that names function and argument."""
import math
import operator

import numpy as np

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _described(value):
    return f"of type {type(value).__name__}"


def numbers(value, function, argument):
    """An aligned array of float32 or float64 in the machine's byte order; copied only where it is not one already.

    float16 becomes float32, which holds all of it; integers, booleans and longer floats become float64.
    """
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{function}: {argument} is no array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{function}: {argument} is of dtype {array.dtype}, expected real numbers")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{function}: {argument} has masked elements, expected numbers; fill or leave them out")
    if array.dtype not in _FLOATS or not array.dtype.isnative or not array.flags.aligned:
        narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
        with np.errstate(over="ignore"):  # of a long double: the core tells that it is infinite
            array = np.require(array, np.float32 if narrow else np.float64, "A")
    return array


def _in_rows_or_columns(array):
    """Whether one stride is an element, and the other leads past what the first one runs through."""
    (rows, cols), (down, right), item = array.shape, array.strides, array.itemsize
    if rows == 0 or cols == 0:
        return array.flags.c_contiguous
    return ((right == item or cols == 1) and down % item == 0 and down >= cols * item) or (
        down == item and right % item == 0 and right >= rows * item)


def matrix(value, function, argument, dtype=None):
    """Two dimensions, rows or columns lying in memory one number beside another; a copy only where they do not."""
    array = numbers(value, function, argument)
    if array.ndim != 2:
        raise ValueError(f"{function}: {argument} is of shape {array.shape}, expected two dimensions")
    if dtype is not None and (array.dtype != dtype or not array.flags.c_contiguous):
        return np.ascontiguousarray(array, dtype)
    return array if _in_rows_or_columns(array) else np.ascontiguousarray(array)


def vector(value, function, argument, dtype=None):
    """One dimension, contiguous."""
    array = numbers(value, function, argument)
    if array.ndim != 1:
        raise ValueError(f"{function}: {argument} is of shape {array.shape}, expected one dimension")
    return np.ascontiguousarray(array, dtype)


def flat(value, function, argument):
    """Any shape as a contiguous vector in the order of its indices (C order)."""
    return numbers(value, function, argument).reshape(-1)


def number(value, function, argument):
    """A real number as a float; whether it is in range, the core tells."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{function}: {argument} is {_described(value)}, expected a number") from None


def whole(value, function, argument, least=-(2**63), most=2**63 - 1):
    """A whole number that fits the core's indices."""
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{function}: {argument} is {_described(value)}, expected a whole number") from None
    if not least <= result <= most:
        raise ValueError(f"{function}: {argument} is {result}, expected a whole number from {least} to {most}")
    return result


def seed(value, function):
    """The state that a generator of random numbers begins with."""
    return whole(value, function, "seed", 0, 2**64 - 1)
