"""Independent values for the tests: numpy, scipy and 60-digit mpmath, nothing of Sagitta.

    python3 -m venv /tmp/values && /tmp/values/bin/pip install numpy scipy mpmath
    /tmp/values/bin/python tests/data/make_values.py

writes the files beside this script, which tests/values.test.cpp reads. The inputs are drawn from fixed seeds and
written with 17 digits, so that they are the same doubles on both sides; what depends on an ordering or a sum is
computed in exact fractions or in mpmath from those doubles.
"""

import json
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import scipy.linalg
import scipy.stats

mpmath.mp.dps = 60
HERE = Path(__file__).parent
THRESHOLDS = ["0.5", "0.9", "0.95", "0.99", "0.999"]


def exact_rank(values, threshold):
    """min { j : S_j > threshold S }, descending, strict; values Fractions or mpf, threshold a decimal string."""
    values = sorted(values, reverse=True)
    total, leading = sum(values), 0
    if not values or total == 0:
        return 0
    number = type(values[0])
    share = Fraction(threshold) if number is Fraction else mpmath.mpf(threshold)
    for j, value in enumerate(values):
        leading += value
        if leading > share * total:
            return j + 1
    raise ValueError("no leading sum exceeds the threshold")


def ranks(values):
    return {t: exact_rank(values, t) for t in THRESHOLDS}


def rows(matrix):
    return np.asarray(matrix, dtype=float).tolist()


def mp_matrix(a):
    return mpmath.matrix(np.asarray(a, dtype=float).tolist())


def mp_eigenvalues(a):
    return sorted((abs(x) for x in mpmath.eigsy(a, eigvals_only=True)), reverse=True)


def spectra(generator):
    """Spectra as doubles, their ranks in exact fractions; near-ties a few 1e-12 to either side of 99/100."""
    cases = {
        "decaying": 0.9 ** np.arange(60),
        "two clusters": np.concatenate([np.full(7, 3.0), np.full(50, 1e-3)]),
        "five of forty": np.concatenate([[5.0, 4, 3, 2, 1], np.zeros(35)]),
        "tie": np.array([99.0, 1]),
        "just above": np.array([99 * (1 + 4e-12), 1]),
        "just below": np.array([99 * (1 - 4e-12), 1]),
        "equal, 100": np.ones(100),
        "equal, 200": np.ones(200),
        "long tail": np.concatenate([[1.0], np.full(2000, 1.0 / 199998)]),
        "range of a double": 10.0 ** np.linspace(-300, 0, 40),
        "one": np.array([2.5]),
        "zero": np.zeros(4),
        "random": generator.random(30),
        "power law": 1 / np.arange(1, 81) ** 1.5,
    }
    result = []
    for name, values in cases.items():
        exact = [Fraction(float(v)) for v in values]
        shuffled = generator.permutation(values)
        result.append({"name": name, "values": shuffled.tolist(), "ranks": ranks(exact)})
    return result


def matrices(generator):
    """Matrices of doubles, their singular values and |eigenvalues| in 60 digits."""
    result = []
    shapes = {"square": (9, 9), "tall": (14, 6), "wide": (5, 11), "row": (1, 6), "column": (6, 1)}
    for name, (m, n) in shapes.items():
        a = generator.standard_normal((m, n)) @ np.diag(0.6 ** np.arange(n))
        singular = [abs(x) for x in mpmath.svd_r(mp_matrix(a), compute_uv=False)]
        case = {"name": name, "A": rows(a), "singular_values": [float(s) for s in singular], "ranks": ranks(singular)}
        total = sum(singular)
        case["entropy_rank"] = float(mpmath.exp(-sum(s / total * mpmath.log(s / total) for s in singular)))
        case["stable_rank"] = float(sum(s * s for s in singular) / max(singular) ** 2)
        if m == n:
            symmetric = (a + a.T) / 2
            values = mpmath.eigsy(mp_matrix(symmetric), eigvals_only=True)
            case["S"] = rows(symmetric)
            case["eigenvalues"] = sorted((float(v) for v in values), reverse=True)
            case["symmetric_ranks"] = ranks([abs(v) for v in values])
        result.append(case)
    return result


def softmax_hessian(p):
    return mpmath.diag(list(p)) - p * p.T


def gauss_newton(generator):
    result = []
    for samples, classes, parameters in [(3, 3, 8), (4, 2, 3), (2, 5, 12)]:
        jacobian = generator.standard_normal((samples * classes, parameters)) * 0.7 ** np.arange(parameters)
        logits = 2 * generator.standard_normal((samples, classes))
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        total = mpmath.zeros(parameters)
        for m in range(samples):
            j = mp_matrix(jacobian[m * classes : (m + 1) * classes])
            total += j.T * softmax_hessian(mp_matrix(p[m][:, None])) * j
        values = mp_eigenvalues(total)
        result.append({
            "J": rows(jacobian), "probabilities": rows(p), "max_rank": min(parameters, samples * (classes - 1)),
            "eigenvalues": [float(v) for v in values], "ranks": ranks(values),
        })
    return result


def overlap(h, g, threshold):
    """From eigenvectors in 60 digits; None for no truncation."""
    values, vectors = mpmath.eigsy(h)
    order = sorted(range(h.rows), key=lambda i: -abs(values[i]))
    k = h.rows if threshold is None else exact_rank([abs(v) for v in values], threshold)
    product = mpmath.zeros(h.rows, 1)
    for i in order[:k]:
        product += values[i] * (vectors[:, i].T * g)[0] * vectors[:, i]
    return {"k": k, "value": float((g.T * product)[0] / (mpmath.norm(g) * mpmath.norm(product)))}


def overlaps(generator):
    dense, gram = [], []
    for n in [1, 4, 12]:
        q = scipy.linalg.qr(generator.standard_normal((n, n)))[0]
        a = q @ np.diag(0.5 ** np.arange(n) * np.where(np.arange(n) % 3 == 1, -1, 1)) @ q.T
        h, g = (a + a.T) / 2, generator.standard_normal(n)
        mh, mg = mp_matrix(h), mp_matrix(g[:, None])
        dense.append({"H": rows(h), "g": g.tolist(), "untruncated": overlap(mh, mg, None)["value"],
                      "at": {t: overlap(mh, mg, t) for t in ["0.5", "0.9", "0.99"]}})
    for parameters, samples in [(7, 4), (4, 7), (20, 10)]:
        # few binary digits: the Gram matrix of these gradients is exact
        gradients = np.round(64 * generator.standard_normal((parameters, samples)) * 0.6 ** np.arange(samples)) / 64
        exact = mp_matrix(gradients)
        fisher = exact * exact.T
        mean = exact * mpmath.ones(samples, 1) / samples
        gram.append({"K": rows(gradients.T @ gradients), "untruncated": overlap(fisher, mean, None)["value"],
                     "at": {t: overlap(fisher, mean, t) for t in ["0.5", "0.9", "0.99"]}})
    return {"dense": dense, "gram": gram}


def wasserstein(generator):
    result = []
    for n in [1, 2, 9, 400]:
        initial, now = generator.standard_normal(n), generator.standard_normal(n)
        if n > 2:  # ties, and both zeros
            initial, now = np.round(initial, 1), np.round(now, 1)
            now[::7], now[1::11] = 0.0, -0.0
        order = np.argsort(now, kind="stable")
        sorted_initial = np.sort(initial)
        gradient = np.empty(n)
        gradient[order] = 2 * (now[order] - sorted_initial)
        value = sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for a, b in zip(now[order], sorted_initial))
        distance = scipy.stats.wasserstein_distance(now, initial)  # of order 1, another program's matching
        assert abs(np.abs(now[order] - sorted_initial).mean() - distance) < 1e-12
        result.append({"theta0": initial.tolist(), "theta": now.tolist(), "value": float(value),
                       "gradient": gradient.tolist(),
                       "regenerative": float(sum((Fraction(float(a)) - Fraction(float(b))) ** 2
                                                 for a, b in zip(now, initial)))})
    return result


def features(generator):
    def entropy(weights):
        total = sum(weights)
        return sum(w / total * mpmath.log(w / total) for w in weights if w > 0)

    result = []
    for n, width, relu in [(6, 4, False), (4, 6, True), (9, 3, True), (1, 5, False)]:
        phi = generator.standard_normal((n, width)) * 0.5 ** np.arange(width)
        if relu:
            phi = np.maximum(phi, 0)
            phi[0], phi[:, -1] = 0, 0
        exact = [[mpmath.mpf(float(x)) for x in row] for row in phi]
        activity = [sum(abs(exact[i][j]) for i in range(n)) / n for j in range(width)]
        samples = [entropy([abs(x) for x in row]) for row in exact if any(row)]
        mean = sum(activity) / width
        u, s, v = mpmath.svd_r(mp_matrix(phi), full_matrices=False)
        order = sorted(range(len(s)), key=lambda i: -s[i])
        first, last = order[0], order[-1]
        m = mp_matrix(phi)
        gradient = 2 * m * v[first, :].T * v[first, :]
        penalty = s[first] ** 2
        # a zero column makes s_d zero: its term has the factor Phi v_d = 0
        if n >= width:
            gradient -= 2 * m * v[last, :].T * v[last, :]
            penalty -= s[last] ** 2
        result.append({
            "F": rows(phi), "dormancy": float(entropy(activity)),
            "per_sample_dormancy": float(sum(samples) / len(samples)),
            "dormant_fraction": {t: sum(a <= mpmath.mpf(t) * mean for a in activity) / width for t in ["0", "0.3"]},
            "ranks": ranks([abs(x) for x in s if abs(x) > 1e-30] or [mpmath.mpf(0)]),
            "penalty": float(penalty), "penalty_gradient": [[float(x) for x in gradient[i, :]] for i in range(n)],
        })
    return result


def labels(generator):
    """Draws by the documented rule: the first class whose running sum exceeds u, u of 53 bits.

    mt19937_64 by numpy is another generator than C++'s; both are written out here and checked against the
    standards' values for the 10,000th number.
    """

    def twister(seed, bits):
        if bits == 64:
            n, m, r, a, f = 312, 156, 31, 0xB5026F5AA96619E9, 6364136223846793005
            u, d, s, b, t, c, l = 29, 0x5555555555555555, 17, 0x71D67FFFEDA60000, 37, 0xFFF7EEE000000000, 43
        else:
            n, m, r, a, f = 624, 397, 31, 0x9908B0DF, 1812433253
            u, d, s, b, t, c, l = 11, 0xFFFFFFFF, 7, 0x9D2C5680, 15, 0xEFC60000, 18
        full = (1 << bits) - 1
        low = (1 << r) - 1
        state = [seed & full]
        for i in range(1, n):
            state.append((f * (state[-1] ^ (state[-1] >> (bits - 2))) + i) & full)
        while True:
            for i in range(n):
                y = (state[i] & (full ^ low)) | (state[(i + 1) % n] & low)
                state[i] = state[(i + m) % n] ^ (y >> 1) ^ (a if y & 1 else 0)
            for y in state:
                y ^= (y >> u) & d
                y ^= (y << s) & b & full
                y ^= (y << t) & c & full
                yield y ^ (y >> l)

    for bits, expected in [(32, 4123659995), (64, 9981545732273789042)]:
        numbers = twister(5489, bits)
        assert [next(numbers) for _ in range(10000)][-1] == expected

    def uniform(numbers, bits):
        if bits == 64:
            return Fraction(next(numbers) >> 11, 2**53)
        return Fraction((next(numbers) << 32) + next(numbers), 2**64)

    p = generator.dirichlet(np.ones(4), 24)
    p[3], p[7] = [0, 0, 1, 0], [0.5, 0, 0.5, 0]
    result = {"probabilities": rows(p), "draws": []}
    for bits in [32, 64]:
        for seed in [1, 5489, 2026]:
            numbers, drawn, uniforms = twister(seed, bits), [], []
            for row in p:
                u = uniform(numbers, bits)
                uniforms.append(float(u))
                shares = [Fraction(float(x)) for x in row]
                target, running = u * sum(shares), Fraction(0)
                for c, share in enumerate(shares):
                    running += share
                    assert abs(target - running) > 1e-12 or share == 0 or running == sum(shares)
                    if running > target:
                        drawn.append(c)
                        break
            result["draws"].append({"bits": bits, "seed": seed, "uniforms": uniforms, "labels": drawn})
    return result


def convolution(generator):
    """A 3 x 3 convolution of stride 2 and padding 1, its gradients by scipy-free loops over pixels."""
    samples, channels, filters, size, kernel, stride, padding = 4, 2, 3, 5, 3, 2, 1
    images = np.round(16 * generator.standard_normal((samples, channels, size, size))) / 16
    out = (size + 2 * padding - kernel) // stride + 1
    backprops = np.round(16 * generator.standard_normal((samples, filters, out, out))) / 16
    gradients = np.zeros((samples, filters * channels * kernel * kernel + filters))
    for m in range(samples):
        weight = np.zeros((filters, channels, kernel, kernel))
        for f, c, i, j, y, x in np.ndindex(filters, channels, kernel, kernel, out, out):
            row, column = y * stride + i - padding, x * stride + j - padding
            if 0 <= row < size and 0 <= column < size:
                weight[f, c, i, j] += backprops[m, f, y, x] * images[m, c, row, column]
        gradients[m] = np.concatenate([weight.ravel(), backprops[m].sum((1, 2))])
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    patches = np.array([padded[m, :, y * stride : y * stride + kernel, x * stride : x * stride + kernel].ravel()
                        for m in range(samples) for y in range(out) for x in range(out)])
    flat = backprops.reshape(samples, filters, out * out).transpose(0, 2, 1).reshape(samples * out * out, filters)
    weights = gradients[:, : -filters]
    return {"positions": out * out, "inputs": rows(patches), "backprops": rows(flat),
            "K": rows(gradients @ gradients.T), "K_without_bias": rows(weights @ weights.T)}


def main():
    generator = np.random.Generator(np.random.PCG64(20260101))
    parts = {"spectra": spectra, "matrices": matrices, "gauss_newton": gauss_newton, "overlaps": overlaps,
             "wasserstein": wasserstein, "features": features, "labels": labels, "convolution": convolution}
    for name, make in parts.items():
        (HERE / f"{name}.json").write_text(json.dumps(make(generator)) + "\n")


if __name__ == "__main__":
    main()
