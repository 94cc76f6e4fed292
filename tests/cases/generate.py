"""Computes the cases of MAML++, Proto-MAML, iMAML, meta-curvature and PES, in PyTorch float64.

    python tests/cases/generate.py [FOLDER]

writes NAME.toml and NAME.safetensors for each case into FOLDER, by default the one that this file is in; README.md says how
they are laid out.  Every learner is defined here from its paper and computed by automatic differentiation alone, so that
nothing is shared with what it checks.  Where a paper leaves something open, the comment says so, and what is taken here.

Needs torch (CPU), safetensors and numpy.  Beside each case, what PyTorch's own float32 makes of it is printed: a case that
float32 cannot compute to a few millionths checks little, as a ReLU or a max pool may then turn over on the way.
"""

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save

BLOCKS = 4


@dataclass
class Result:
    loss: torch.Tensor
    output: torch.Tensor
    meta_gradient: dict
    changes: dict = field(default_factory=dict)


# ------------------------------------------------------------- the network


def encode(x, p, downsample, running=None):
    """Four blocks of convolution 3x3, batch norm by the batch's own statistics, ReLU (and max pool), flattened.

    running: (mean, variance) of each block, which PyTorch moves in place; none are kept where absent.
    """
    for i in range(BLOCKS):
        stride = 2 if downsample == "stride" else 1
        x = F.conv2d(x, p[f"encoder.{i}.conv.weight"], p[f"encoder.{i}.conv.bias"], stride=stride, padding=1)
        mean, variance = running[i] if running else (None, None)
        gamma, beta = p[f"encoder.{i}.norm.weight"], p[f"encoder.{i}.norm.bias"]
        x = F.relu(F.batch_norm(x, mean, variance, gamma, beta, training=True, momentum=0.1, eps=1e-5))
        if downsample == "max_pool":
            x = F.max_pool2d(x, 2)
    return x.flatten(1)


def classify(x, p, downsample, running=None):
    return F.linear(encode(x, p, downsample, running), p["head.weight"], p["head.bias"])


def is_norm(name):
    return ".norm." in name


# ------------------------------------------------------------- the learners


def maml_plus_plus(params, episode, downsample, steps, shares):
    """MAML++ (Antoniou, Edwards and Storkey 2019), second order: sum over k = 1..steps of shares[k-1] L_query(phi_k).

    Section 4 of the paper: the multi-step loss (MSL), a learned rate for each tensor of a layer and each inner step (LSLR),
    batch norm's weights and biases of their own for each number of steps taken, which the inner loop does not change (BNWB),
    and running statistics of their own for each of them (BNRS); normalisation itself is by the batch's statistics.

    The paper does not say with which step's set the query set is normalised.  Here phi_k has one set, whoever looks at it:
    the support set on the way to phi_{k+1}, and the query set for the loss after k steps.  So there are steps + 1 sets, that
    of phi_0 being the network's own.  Set k's running statistics follow the support set at phi_k, the last set's the query
    set at the end.
    """
    buffers = {n: v.clone() for n, v in params.items() if ".running_" in n}
    trained = leaves({n: v for n, v in params.items() if n not in buffers})
    norms = [n for n in trained if is_norm(n) and n.startswith("encoder.")]
    fast = {n: v for n, v in trained.items() if n.startswith(("encoder.", "head.")) and not is_norm(n)}

    def network(k):
        return fast | {n: trained[n if k == 0 else f"step.{k}.{n}"] for n in norms}

    def running(k):
        name = lambda i, part: f"step.{k}.encoder.{i}.norm.running_{part}"
        return [(buffers[name(i, "mean")], buffers[name(i, "var")]) for i in range(BLOCKS)]

    total = 0
    for k in range(steps):
        loss = F.cross_entropy(classify(episode["support.x"], network(k), downsample, running(k)), episode["support.y"])
        slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
        fast = {n: w - trained[f"inner_rate.{n}"][k] * g for (n, w), g in zip(fast.items(), slopes)}
        is_last = k + 1 == steps
        output = classify(episode["query.x"], network(k + 1), downsample, running(k + 1) if is_last else None)
        total = total + shares[k] * F.cross_entropy(output, episode["query.y"])
    changes = {n: buffers[n] - params[n] for n in buffers}
    return Result(total, output, gradient(total, trained), changes)


def annealed_shares(meta_step, meta_steps, steps):
    """The paper anneals the shares of all steps but the last and gives no formula: here along a line, to nothing."""
    earlier = max(0.0, 1.0 - meta_step / meta_steps) / steps
    return [earlier] * (steps - 1) + [1.0 - (steps - 1) * earlier]


def proto_maml(params, episode, downsample, ways, rate, steps):
    """Proto-MAML (Triantafillou et al. 2020, section 3.2), second order.

    MAML whose head begins as the linear layer that a prototypical network is: with c_k the mean of class k's embedded
    support examples, W_k = 2 c_k and b_k = -|c_k|^2.  The meta-gradient goes through that beginning, and the head is not
    learned.  An inner step's gradient is by encoder and head as they are, as in MAML: not by way of what the head began as.
    """
    params = leaves(params)
    z = encode(episode["support.x"], params, downsample)
    c = torch.stack([z[episode["support.y"] == k].mean(dim=0) for k in range(ways)])
    encoder = {n: v.clone() for n, v in params.items()}
    fast = encoder | {"head.weight": 2 * c, "head.bias": -(c**2).sum(dim=1)}
    for _ in range(steps):
        loss = F.cross_entropy(classify(episode["support.x"], fast, downsample), episode["support.y"])
        slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
        fast = {n: w - rate * g for (n, w), g in zip(fast.items(), slopes)}
    output = classify(episode["query.x"], fast, downsample)
    loss = F.cross_entropy(output, episode["query.y"])
    return Result(loss, output, gradient(loss, params))


def imaml(params, episode, downsample, regularisation, damping, rate, steps, conjugate_gradient_steps):
    """iMAML (Rajeswaran et al. 2019, algorithms 1 and 2).

    phi: so many steps of gradient descent from theta on L_support(phi) + regularisation / 2 |phi - theta|^2.  The
    meta-gradient solves (I + H / (regularisation + damping)) g = grad L_query(phi), H being the Hessian of L_support at phi,
    by so many steps of conjugate gradients from zero; the paper has no damping, its authors' code has.
    """
    theta = {n: v.clone() for n, v in params.items()}
    phi = leaves(params)
    on = lambda side: classify(episode[f"{side}.x"], phi, downsample)
    for _ in range(steps):
        distance = sum(((phi[n] - theta[n]) ** 2).sum() for n in phi)
        objective = F.cross_entropy(on("support"), episode["support.y"]) + regularisation / 2 * distance
        slopes = torch.autograd.grad(objective, list(phi.values()))
        phi = leaves({n: w - rate * g for (n, w), g in zip(phi.items(), slopes)})

    output = on("query")
    loss = F.cross_entropy(output, episode["query.y"])
    b = flat(torch.autograd.grad(loss, list(phi.values())))
    support = F.cross_entropy(on("support"), episode["support.y"])
    slope = flat(torch.autograd.grad(support, list(phi.values()), create_graph=True))

    def matrix_times(v):
        hessian_times_v = torch.autograd.grad(slope, list(phi.values()), grad_outputs=v, retain_graph=True)
        return v + flat(hessian_times_v) / (regularisation + damping)

    return Result(loss, output, unflat(conjugate_gradients(matrix_times, b, conjugate_gradient_steps), theta))


def conjugate_gradients(matrix_times, b, steps):
    """Hestenes and Stiefel 1952, from zero: `steps` steps, whatever is left of the residual."""
    x, r, p = torch.zeros_like(b), b, b
    for _ in range(steps):
        ap = matrix_times(p)
        if p @ ap <= 0:
            raise ValueError("not positive definite: the regularisation is too small for conjugate gradients")
        length = (r @ r) / (p @ ap)
        x = x + length * p
        r_next = r - length * ap
        p = r_next + (r_next @ r_next) / (r @ r) * p
        r = r_next
    return x


def meta_curvature(params, episode, downsample, rate, steps):
    """Meta-curvature (Park and Oliva 2019, sections 2.1 and 3.2), its first variant: the rate is not learned.

    theta <- theta - rate MC(G), where for a weight's gradient G as a tensor [out, in, taps]
    MC(G) = G x_3 M_taps x_2 M_in x_1 M_out with n-mode products; a linear layer's has one tap, and no M_taps.  The paper
    defines this for weights; all else takes plain steps here.
    """
    params = leaves(params)
    fast = {n: v for n, v in params.items() if ".curvature_" not in n}
    for _ in range(steps):
        loss = F.cross_entropy(classify(episode["support.x"], fast, downsample), episode["support.y"])
        slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
        fast = {n: w - rate * transformed(n, g, params) for (n, w), g in zip(fast.items(), slopes)}
    output = classify(episode["query.x"], fast, downsample)
    loss = F.cross_entropy(output, episode["query.y"])
    return Result(loss, output, gradient(loss, params))


def transformed(name, g, params):
    if g.dim() < 2:
        return g
    tensor = g.flatten(2) if g.dim() > 2 else g
    for mode, part in reversed(list(enumerate(["out", "in", "taps"][: tensor.dim()]))):
        tensor = mode_product(tensor, params[f"{name}.curvature_{part}"], mode)
    return tensor.reshape(g.shape)


def mode_product(tensor, matrix, mode):
    """(X x_n M)[.., j, ..] = sum over i of M[j, i] X[.., i, ..], both at the n-th place (Kolda and Bader 2009)."""
    return torch.tensordot(matrix, tensor, dims=([1], [mode])).movedim(0, mode)


@dataclass
class Particle:
    """A training that goes on from one segment to the next, and the sum of what its phi was perturbed by."""

    sign: float
    theta: torch.Tensor
    state: list
    xi: torch.Tensor
    losses: list = field(default_factory=list)


def pes(phi, episode, deviation, steps, unroll, hidden, output_scale, preprocess_p):
    """Persistent evolution strategies (Vicol, Metz and Sohl-Dickstein 2021, algorithm 2) with antithetic particles.

    N particles, each with a state of its own, go through the trajectory segment by segment.  In each, particle i's phi is
    perturbed by its own epsilon_i ~ N(0, deviation^2 I), xi_i adds up its epsilons so far, and the estimate is
    1 / (N deviation^2) sum over i of xi_i L_i, L_i being the segment's loss.  Here phi stays the same over all segments of
    one trajectory, and their estimates are added: the meta-gradient of the whole trajectory.

    A learned optimizer (Andrychowicz et al. 2016) trains theta on f(theta) = |W theta - y|^2; a segment's loss is the sum of
    f after each of its steps.  episode/perturbations are the epsilons over the deviation, [N / 2, segments, parameters], of
    the particles with a plus; their partners have the same with a minus.
    """
    w, y = episode["quadratic.w"], episode["quadratic.y"]
    normals = episode["perturbations"]
    f = lambda theta: ((w @ theta - y) ** 2).sum()
    slope = lambda theta: 2 * w.T @ (w @ theta - y)
    centre = flat(list(phi.values()))
    count = 2 * len(normals)
    estimate = torch.zeros_like(centre)
    for pair in normals:
        theta = episode["theta0"]
        zeros = lambda: torch.zeros(len(theta), hidden, dtype=theta.dtype)
        beginning = lambda: [(zeros(), zeros()) for _ in range(2)]
        particles = [Particle(s, theta, beginning(), torch.zeros_like(centre)) for s in (1.0, -1.0)]
        for segment, begin in enumerate(range(0, steps, unroll)):
            for particle in particles:
                epsilon = particle.sign * deviation * pair[segment]
                own = unflat(centre + epsilon, phi)
                for _ in range(begin, min(begin + unroll, steps)):
                    x = preprocess(slope(particle.theta), preprocess_p)
                    m, particle.state = read_out(x, particle.state, own)
                    particle.theta = particle.theta + output_scale * m.squeeze(-1)
                    particle.losses.append(f(particle.theta))
                particle.xi = particle.xi + epsilon
                estimate = estimate + particle.xi * sum(particle.losses[begin:]) / (count * deviation**2)
    # What is told of a training is the last pair's with a minus.
    losses = torch.stack(particles[-1].losses)
    return Result(losses.sum(), losses, unflat(estimate, phi))


def learned_optimizer_with_memory(phi, episode, memory, steps, unroll, hidden, output_scale, preprocess_p):
    """A learned optimizer (Andrychowicz et al. 2016) that reads H g beside the gradient g of f(theta) = |W theta - y|^2.

    H is the inverse Hessian of BFGS (Nocedal and Wright 2006, equations 6.17 and 6.20), as a matrix: from (s'y / y'y) I of the
    newest pair, updated by the last `memory` pairs of s = a step and y = the change of the gradient over it, the oldest first;
    before the first pair, H g is g / max(1, |g|_1).  The LSTM's output m changes theta by -(1 + output_scale m) H g, coordinate by
    coordinate.  Gradients and H g are held constant, theta and the LSTM's state at a segment's border too.
    """
    w, y = episode["quadratic.w"], episode["quadratic.y"]
    f = lambda theta: ((w @ theta - y) ** 2).sum()
    slope = lambda theta: (2 * w.T @ (w @ theta - y)).detach()
    theta = episode["theta0"]
    zeros = lambda: torch.zeros(len(theta), hidden, dtype=theta.dtype)
    state = [(zeros(), zeros()) for _ in range(2)]
    losses, total, before, pairs = [], {n: torch.zeros_like(v) for n, v in phi.items()}, None, []
    for begin in range(0, steps, unroll):
        own, theta = leaves(phi), theta.detach()
        state = [tuple(part.detach() for part in layer) for layer in state]
        for _ in range(begin, min(begin + unroll, steps)):
            here, g = theta.detach(), slope(theta)
            if before is not None:
                pairs.append((here - before[0], g - before[1]))
            before = (here, g)
            r = inverse_hessian(pairs[-memory:]) @ g if pairs else g / max(1, g.abs().sum())
            out, state = read_out(torch.cat([preprocess(g, preprocess_p), preprocess(r, preprocess_p)], dim=-1), state, own)
            theta = theta - (1 + output_scale * out[:, 0]) * r
            losses.append(f(theta))
        for n, part in gradient(sum(losses[begin:]), own).items():
            total[n] = total[n] + part
    losses = torch.stack(losses).detach()
    return Result(losses.sum(), losses, total)


def inverse_hessian(pairs):
    s, y = pairs[-1]
    identity = torch.eye(len(s), dtype=s.dtype)
    h = (s @ y) / (y @ y) * identity
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = identity - rho * torch.outer(s, y)
        h = left @ h @ left.T + rho * torch.outer(s, s)
    return h


def read_out(x, state, phi):
    """Two layers of PyTorch's LSTM cell, each coordinate a row, and a linear layer."""
    after = []
    for layer, before in enumerate(state):
        weights = [phi[f"lstm.{layer}.{part}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        h, c = torch.lstm_cell(x, before, *weights)
        after.append((h, c))
        x = h
    return F.linear(x, phi["output.weight"], phi["output.bias"]), after


def preprocess(g, p):
    """(log|g| / p, sign g) where |g| >= e^-p, else (-1, e^p g) (Andrychowicz et al. 2016, appendix A)."""
    big = g.abs() >= math.exp(-p)
    logarithm = torch.where(big, g.abs(), 1.0).log() / p
    first = torch.where(big, logarithm, -1.0)
    second = torch.where(big, g.sign(), math.exp(p) * g)
    return torch.stack([first, second], dim=-1)


# ------------------------------------------------------------- helpers


def leaves(params):
    return {n: v.detach().clone().requires_grad_() for n, v in params.items()}


def gradient(loss, params):
    return dict(zip(params, torch.autograd.grad(loss, list(params.values()))))


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


def unflat(vector, like):
    parts = vector.split([v.numel() for v in like.values()])
    return {n: part.view_as(v) for (n, v), part in zip(like.items(), parts)}


class Draws:
    """Seeded numbers of float64."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def uniform(self, low, high, *shape):
        return low + (high - low) * torch.rand(*shape, generator=self.generator, dtype=torch.float64)

    def linear(self, name, inputs, outputs, parts=("weight", "bias")):
        weight, bias = (f"{name}.{part}" for part in parts)
        return {weight: self.normal(outputs, inputs) / math.sqrt(inputs), bias: 0.1 * self.normal(outputs)}

    def norm(self, name, channels):
        return {f"{name}.norm.weight": 1 + 0.1 * self.normal(channels), f"{name}.norm.bias": 0.1 * self.normal(channels)}

    def encoder(self, channels, filters):
        params = {}
        for i in range(BLOCKS):
            inputs = channels if i == 0 else filters
            params[f"encoder.{i}.conv.weight"] = self.normal(filters, inputs, 3, 3) * math.sqrt(2 / (9 * inputs))
            params[f"encoder.{i}.conv.bias"] = 0.1 * self.normal(filters)
            params |= self.norm(f"encoder.{i}", filters)
        return params

    def network(self, config):
        params = self.encoder(config["channels"], config["filters"])
        example = torch.zeros(2, config["channels"], config["image_size"], config["image_size"], dtype=torch.float64)
        features = encode(example, params, config["downsample"]).shape[1]
        return params | self.linear("head", features, config["ways"])

    def optimizer(self, inputs, hidden, outputs):
        """A learned optimizer's LSTM of two layers, in the layout's order."""
        params = {}
        for layer, width in enumerate([inputs, hidden]):
            own = {}
            for of, columns in (("ih", width), ("hh", hidden)):
                own |= self.linear(f"lstm.{layer}", columns, 4 * hidden, (f"weight_{of}", f"bias_{of}"))
            parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            params |= {f"lstm.{layer}.{part}": own[f"lstm.{layer}.{part}"] for part in parts}
        return params | self.linear("output", hidden, outputs)

    def images(self, config):
        """A pattern of each class and noise; labels in class-major order."""
        ways, extent = config["ways"], [config["channels"], config["image_size"], config["image_size"]]
        patterns = self.normal(ways, *extent)
        episode = {}
        for side, each in (("support", config["shots"]), ("query", config["queries"])):
            y = torch.arange(ways).repeat_interleave(each)
            episode[f"{side}.x"] = patterns[y] + 0.7 * self.normal(len(y), *extent)
            episode[f"{side}.y"] = y
        return episode


def in_type(tensors, dtype):
    return {n: v.to(dtype) if v.is_floating_point() else v for n, v in tensors.items()}


def write(folder, name, config, params, episode, compute):
    """Computes in float64 what float32 inputs give, and writes it; prints how far float32 is from it."""
    stored = [in_type(tensors, torch.float32) for tensors in (params, episode)]
    result = compute(*[in_type(tensors, torch.float64) for tensors in stored])
    tensors = {f"params/{n}": v for n, v in stored[0].items()} | {f"episode/{n}": v for n, v in stored[1].items()}
    tensors |= {"expect/loss": result.loss.reshape(1), "expect/output": result.output}
    tensors |= {f"expect/meta_gradient/{n}": g for n, g in result.meta_gradient.items()}
    tensors |= {f"expect/change/{n}": c for n, c in result.changes.items()}
    bytes_of = save({n: v.detach().clone(memory_format=torch.contiguous_format) for n, v in tensors.items()})
    (folder / f"{name}.safetensors").write_bytes(bytes_of)
    (folder / f"{name}.toml").write_text("".join(f"{key} = {in_toml(value)}\n" for key, value in config.items()))

    single = compute(*stored)
    norm = flat(result.meta_gradient.values()).norm()
    difference = {n: single.meta_gradient[n] - g for n, g in result.meta_gradient.items()}
    shares = {n: float(d.norm() / (2e-4 * result.meta_gradient[n].norm() + 2e-6 * norm)) for n, d in difference.items()}
    worst = max(shares, key=shares.get)
    error = flat(difference.values()).norm() / norm
    print(f"{name:22} loss {result.loss:.9f}  |g| {norm:.9f}")
    print(f"{'':22} in float32 {error:.1e} off, {worst} at {shares[worst]:.1%} of its tolerance")


def in_toml(value):
    return f'"{value}"' if isinstance(value, str) else repr(value)


# ------------------------------------------------------------- the cases


def cases(folder):
    images = dict(
        network="conv4", downsample="max_pool", filters=4, channels=1, image_size=32, ways=3, shots=2, queries=3
    )

    draws = Draws(1)
    config = dict(algorithm="maml_plus_plus") | images | dict(inner_steps=3, multi_step_meta_steps=4, meta_step=1)
    steps = config["inner_steps"]
    params = draws.network(config)
    params |= {f"inner_rate.{n}": draws.uniform(-0.05, 0.25, steps) for n in params if not is_norm(n)}
    for k in range(steps + 1):
        for i in range(BLOCKS):
            if k > 0:
                params |= draws.norm(f"step.{k}.encoder.{i}", config["filters"])
            params[f"step.{k}.encoder.{i}.norm.running_mean"] = 0.1 * draws.normal(config["filters"])
            params[f"step.{k}.encoder.{i}.norm.running_var"] = draws.uniform(0.5, 1.5, config["filters"])
    shares = annealed_shares(config["meta_step"], config["multi_step_meta_steps"], steps)
    compute = lambda p, e: maml_plus_plus(p, e, config["downsample"], steps, shares)
    write(folder, "maml_plus_plus", config, params, draws.images(config), compute)

    draws = Draws(2)
    config = dict(algorithm="proto_maml") | images | dict(downsample="stride", filters=5, channels=2, image_size=18)
    config |= dict(ways=4, shots=3, queries=2, inner_lr=0.03125, inner_steps=2)
    params = draws.encoder(config["channels"], config["filters"])
    compute = lambda p, e: proto_maml(
        p, e, config["downsample"], config["ways"], config["inner_lr"], config["inner_steps"]
    )
    write(folder, "proto_maml", config, params, draws.images(config), compute)

    draws = Draws(3)
    config = dict(algorithm="imaml") | images | dict(image_size=36, regularisation=2.0, inner_lr=0.125, inner_steps=3)
    config |= dict(damping=0.5, conjugate_gradient_steps=4)
    compute = lambda p, e: imaml(
        p,
        e,
        config["downsample"],
        config["regularisation"],
        config["damping"],
        config["inner_lr"],
        config["inner_steps"],
        config["conjugate_gradient_steps"],
    )
    write(folder, "imaml", config, draws.network(config), draws.images(config), compute)

    draws = Draws(4)
    config = dict(algorithm="meta_curvature") | images | dict(downsample="stride", channels=3, image_size=18)
    config |= dict(inner_lr=0.125, inner_steps=2)
    params = draws.network(config)
    for n, weight in list(params.items()):
        if weight.dim() > 1:
            extents = [*weight.shape[:2], *([weight[0, 0].numel()] if weight.dim() > 2 else [])]
            for part, extent in zip(["out", "in", "taps"], extents):
                identity = torch.eye(extent, dtype=torch.float64)
                params[f"{n}.curvature_{part}"] = identity + 0.2 * draws.normal(extent, extent)
    compute = lambda p, e: meta_curvature(p, e, config["downsample"], config["inner_lr"], config["inner_steps"])
    write(folder, "meta_curvature", config, params, draws.images(config), compute)

    draws = Draws(5)
    config = dict(algorithm="learned_optimizer", optimizee="quadratic", dimension=6, hidden=4, inner_steps=7, unroll=3)
    config |= dict(output_scale=0.125, preprocess_p=10.0, estimator="pes", deviation=0.125, pairs=2)
    hidden, dimension = config["hidden"], config["dimension"]
    # In this order their numbers are perturbed.
    phi = draws.optimizer(2, hidden, 1)
    segments, parameters = math.ceil(config["inner_steps"] / config["unroll"]), flat(phi.values()).numel()
    episode = {
        "quadratic.w": draws.normal(dimension, dimension),
        "quadratic.y": draws.normal(dimension),
        "theta0": draws.normal(dimension),
        "perturbations": draws.normal(config["pairs"], segments, parameters),
    }
    compute = lambda p, e: pes(
        p,
        e,
        config["deviation"],
        config["inner_steps"],
        config["unroll"],
        hidden,
        config["output_scale"],
        config["preprocess_p"],
    )
    write(folder, "learned_optimizer_pes", config, phi, episode, compute)

    draws = Draws(6)
    config = dict(algorithm="learned_optimizer", optimizee="quadratic", dimension=6, hidden=4, inner_steps=8, unroll=3)
    config |= dict(output_scale=0.125, preprocess_p=10.0, memory=3)
    hidden, dimension = config["hidden"], config["dimension"]
    episode = {
        "quadratic.w": draws.normal(dimension, dimension),
        "quadratic.y": draws.normal(dimension),
        "theta0": draws.normal(dimension),
    }
    compute = lambda p, e: learned_optimizer_with_memory(
        p,
        e,
        config["memory"],
        config["inner_steps"],
        config["unroll"],
        hidden,
        config["output_scale"],
        config["preprocess_p"],
    )
    write(folder, "learned_optimizer_memory", config, draws.optimizer(4, hidden, 1), episode, compute)


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
