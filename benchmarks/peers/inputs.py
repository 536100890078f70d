"""The inputs of the benchmarks, the same numbers as in benchmarks/peers.hpp."""
import numpy as np

DTYPES = {"float": np.float32, "double": np.float64}


def uniform(rows, cols, seed, scalar):
    """rows x cols multiples of 2^-23 from -1 to 1, column by column"""
    z = ((np.uint64(seed) << np.uint64(32)) + np.arange(1, rows * cols + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    z ^= z >> np.uint64(32)
    values = (z >> np.uint64(40)).astype(np.float64) * 2.0 ** -23 - 1
    return np.ascontiguousarray(values.reshape(cols, rows).T.astype(DTYPES[scalar]))


def decaying(rows, cols, scalar):
    """about a fifth of its directions hold 99 % of its spectrum"""
    A = uniform(rows, cols, 1, scalar)
    return A * np.exp(-15.0 * np.arange(cols) / cols).astype(A.dtype)


def symmetric(n, scalar):
    A = decaying(n, n, scalar)
    return (A + A.T) / DTYPES[scalar](2)


def plain_rank(spectrum, threshold=0.99):
    """the paper's definition word by word"""
    values = np.sort(np.abs(np.asarray(spectrum, dtype=np.float64)))[::-1]
    return int(np.argmax(np.cumsum(values) > threshold * values.sum())) + 1
