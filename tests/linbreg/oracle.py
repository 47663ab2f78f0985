"""The formulas of METHOD.md once more, in plain NumPy float64: loops over groups, no PyTorch."""

import numpy as np

# A regulariser here is a list of index lists per tensor set: groups(shapes) -> [[(tensor, flat indices), ...], ...]


def entries(shapes):
    return [[(t, [i])] for t, shape in enumerate(shapes) for i in range(int(np.prod(shape)))]


def rows(shapes, dim=0, joint=False):
    found = []
    for t, shape in enumerate(shapes):
        index = np.arange(int(np.prod(shape))).reshape(shape)
        axis = 0 if len(shape) == 1 else dim
        found.append([[(t, np.take(index, r, axis=axis).ravel().tolist())] for r in range(shape[axis])])
    if joint:
        return [[part for group in same for part in group] for same in zip(*found, strict=True)]
    return [group for groups in found for group in groups]


def kernels(shapes):
    found = []
    for t, shape in enumerate(shapes):
        index = np.arange(int(np.prod(shape))).reshape(shape)
        found += [[(t, index[o, i].ravel().tolist())] for o in range(shape[0]) for i in range(shape[1])]
    return found


def _norm(xs, group):
    return np.sqrt(sum(float(np.sum(xs[t].ravel()[at] ** 2)) for t, at in group))


def _root(group):
    return np.sqrt(sum(len(at) for _, at in group))


def value(xs, groups, lam):
    return lam * sum(_root(group) * _norm(xs, group) for group in groups)


def prox(xs, groups, threshold):
    out = [np.array(x, dtype=np.float64) for x in xs]
    for group in groups:
        norm = _norm(xs, group)
        factor = max(0.0, 1 - threshold * _root(group) / norm) if norm > 0 else 0.0
        for t, at in group:
            out[t].ravel()[at] = xs[t].ravel()[at] * factor
    return out


def sub_gradient(xs, groups, lam):
    out = [np.zeros_like(x, dtype=np.float64) for x in xs]
    for group in groups:
        norm = _norm(xs, group)
        if norm > 0:
            for t, at in group:
                out[t].ravel()[at] = lam * _root(group) * xs[t].ravel()[at] / norm
    return out


def prox_nuclear(x, threshold):
    u, s, vt = np.linalg.svd(x.reshape(len(x), -1), full_matrices=False)
    return (u @ np.diag(np.maximum(s - threshold, 0)) @ vt).reshape(x.shape)


def gradients(thetas, targets, curvatures, t):
    """Of Σ c_t/2 ‖θ − target‖²: they depend on θ, so that an error in θ feeds back."""
    return [curvatures[t] * (theta - target) for theta, target in zip(thetas, targets, strict=True)]


def linbreg(thetas, gradient, steps, lr, delta, momentum, groups, lam, weight_decay=0.0):
    """θ after every step."""
    v = [x / delta + p for x, p in zip(thetas, sub_gradient(thetas, groups, lam), strict=True)]
    m = [np.zeros_like(x) for x in thetas]
    path = []
    for t in range(steps):
        g = [g + weight_decay * x for g, x in zip(gradient(thetas, t), thetas, strict=True)]
        m = [momentum * m_i + (1 - momentum) * lr * g_i for m_i, g_i in zip(m, g, strict=True)]
        v = [v_i - m_i for v_i, m_i in zip(v, m, strict=True)]
        thetas = prox([delta * v_i for v_i in v], groups, delta * lam)
        path.append(thetas)
    return path


def adam_moves(thetas, gradient, steps, lr, betas, eps, weight_decay, write):
    """Adam on points that ``write`` turns into θ."""
    m = [np.zeros_like(x) for x in thetas]
    s = [np.zeros_like(x) for x in thetas]
    path = []
    for t in range(1, steps + 1):
        g = [g + weight_decay * x for g, x in zip(gradient(thetas, t - 1), thetas, strict=True)]
        m = [betas[0] * m_i + (1 - betas[0]) * g_i for m_i, g_i in zip(m, g, strict=True)]
        s = [betas[1] * s_i + (1 - betas[1]) * g_i**2 for s_i, g_i in zip(s, g, strict=True)]
        moves = [
            lr * (m_i / (1 - betas[0] ** t)) / (np.sqrt(s_i / (1 - betas[1] ** t)) + eps)
            for m_i, s_i in zip(m, s, strict=True)
        ]
        thetas = write(moves)
        path.append(thetas)
    return path


def adabreg(thetas, gradient, steps, lr, delta, betas, eps, groups, lam, weight_decay=0.0):
    v = [x / delta + p for x, p in zip(thetas, sub_gradient(thetas, groups, lam), strict=True)]

    def write(moves):
        for v_i, move in zip(v, moves, strict=True):
            v_i -= move
        return prox([delta * v_i for v_i in v], groups, delta * lam)

    return adam_moves(thetas, gradient, steps, lr, betas, eps, weight_decay, write)


def prox_adam(thetas, gradient, steps, lr, betas, eps, groups, lam, weight_decay=0.0):
    points = [x.copy() for x in thetas]

    def write(moves):
        points[:] = prox([x - move for x, move in zip(points, moves, strict=True)], groups, lr * lam)
        return points[:]

    return adam_moves(thetas, gradient, steps, lr, betas, eps, weight_decay, write)


def prox_sgd(thetas, gradient, steps, lr, momentum, groups, lam, weight_decay=0.0):
    m = [np.zeros_like(x) for x in thetas]
    path = []
    for t in range(steps):
        g = [g + weight_decay * x for g, x in zip(gradient(thetas, t), thetas, strict=True)]
        m = [momentum * m_i + (1 - momentum) * lr * g_i for m_i, g_i in zip(m, g, strict=True)]
        thetas = prox([x - m_i for x, m_i in zip(thetas, m, strict=True)], groups, lr * lam)
        path.append(thetas)
    return path


def lasso_adam(thetas, gradient, steps, lr, betas, eps, groups, lam, weight_decay=0.0):
    points = [x.copy() for x in thetas]

    def write(moves):
        points[:] = [x - move for x, move in zip(points, moves, strict=True)]
        return points[:]

    slope = _with_penalty(gradient, groups, lam)
    return adam_moves(thetas, slope, steps, lr, betas, eps, weight_decay, write)


def lasso_sgd(thetas, gradient, steps, lr, momentum, groups, lam, weight_decay=0.0):
    return prox_sgd(thetas, _with_penalty(gradient, groups, lam), steps, lr, momentum, groups, 0.0, weight_decay)


def _with_penalty(gradient, groups, lam):
    """Of L + J."""
    return lambda thetas, t: [
        g + p for g, p in zip(gradient(thetas, t), sub_gradient(thetas, groups, lam), strict=True)
    ]
