"""Times PyTorch on the workloads of `lyceum bench`, each written in several ways, of which the best counts.

    pip install torch safetensors
    python benches/peers/pytorch.py                            # every workload, every variant, one thread
    python benches/peers/pytorch.py maml-15q --threads 2 --variant compile --json
    python benches/peers/pytorch.py --check tests/cases        # the functions that are timed, in float64, against the cases

Networks, episodes, steps and exactness are those of `lyceum bench`. A figure is of meta-gradients, averaged over a meta-batch,
of data that lies in memory: no sampling, and no step of a meta-optimizer.

`eager` goes through a meta-batch's tasks one by one, `vmap` takes all at once, `compile` is torch.compile of one task's whole
meta-gradient, `compile-vmap` of the meta-batch's. `-last` keeps images in channels_last order, `-products` computes
convolutions as products of matrices. `hand` has hand-written derivatives, `-blocks` a tenth of the coordinates at a time.
"""

import argparse
import functools
import json
import math
import statistics
import sys
import time
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.func import grad, grad_and_value, vjp, vmap

# ------------------------------------------------------------- losses: of parameters by name, and of one batch


def convolution(x, w, b, stride):
    return F.conv2d(x, w, b, stride, padding=1)


def convolution_by_products(x, w, b, stride):
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    n, rows, columns = x.shape[0], (x.shape[1] - 3) // stride + 1, (x.shape[2] - 3) // stride + 1
    taps = [x[:, i:i + stride * rows:stride, j:j + stride * columns:stride] for i in range(3) for j in range(3)]
    x = torch.cat(taps, -1).reshape(n * rows * columns, -1) @ w.permute(2, 3, 1, 0).reshape(-1, w.shape[0])
    return (x + b).view(n, rows, columns, -1).permute(0, 3, 1, 2)


def batch_norm(x, gamma, beta):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)


def plain_batch_norm(x, gamma, beta):
    """For vmap, under which the library's has wrong second derivatives (seen in 2.15)."""
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
    return (x - mean) * ((variance + 1e-5).rsqrt() * gamma[:, None, None]) + beta[:, None, None]


def encode(p, x, stride, variant):
    """Four times: a convolution, batch norm by the batch's own statistics, a max pool where strides are one, and ReLU, which
    is the same behind the pool and a quarter of the work."""
    convolve = convolution_by_products if "products" in variant else convolution
    normalise = batch_norm if variant.startswith("eager") else plain_batch_norm
    for i in range(4):
        x = convolve(x, p[f"encoder.{i}.conv.weight"], p[f"encoder.{i}.conv.bias"], stride)
        x = normalise(x, p[f"encoder.{i}.norm.weight"], p[f"encoder.{i}.norm.bias"])
        x = F.relu(F.max_pool2d(x, 2) if stride == 1 else x)
    return x.flatten(1)


def classifier(p, x, y, stride, variant):
    return F.cross_entropy(F.linear(encode(p, x, stride, variant), p["head.weight"], p["head.bias"]), y)


def prototypical(p, x, y, ways, shots, variant):
    """`x` is the support set, class by class, with the query set behind it; `y` the query set's labels."""
    z = encode(p, x, 1, variant)
    prototypes, z = z[: ways * shots].view(ways, shots, -1).mean(1), z[ways * shots:]
    return F.cross_entropy(2 * z @ prototypes.T - prototypes.square().sum(1), y)    # |z|² is every class's alike


def perceptron(p, x, y):
    for i in range(3):
        x = F.linear(x, p[f"layers.{i}.weight"], p[f"layers.{i}.bias"])
        x = F.relu(x) if i < 2 else x
    return F.mse_loss(x, y)


# ------------------------------------------------------------- learners: of θ and tasks, (meta-gradient, loss)


def gradient_by_autograd(loss, p, *data):
    p = {n: v.detach().requires_grad_() for n, v in p.items()}
    value = loss(p, *data)
    return dict(zip(p, torch.autograd.grad(value, list(p.values())))), value.detach()


def inner_gradient(loss, variant, p, x, y):
    """One that can be derived once more."""
    if variant.startswith("eager"):
        return dict(zip(p, torch.autograd.grad(loss(p, x, y), list(p.values()), create_graph=True)))
    return grad(loss)(p, x, y)


def moved(p, g, rate):
    return {n: v - rate * g[n] for n, v in p.items()}


def learner(kind, variant, loss, rate, steps):
    of = gradient_by_autograd if variant.startswith("eager") else lambda loss, *data: grad_and_value(loss)(*data)

    def maml_loss(p, sx, sy, qx, qy):
        for _ in range(steps):
            p = moved(p, inner_gradient(loss, variant, p, sx, sy), rate)
        return loss(p, qx, qy)

    def maml(theta, *task):
        return of(maml_loss, theta, *task)

    def fomaml(p, sx, sy, qx, qy):
        for _ in range(steps):
            p = moved(p, of(loss, p, sx, sy)[0], rate)
        return of(loss, p, qx, qy)

    def reptile(theta, sx, sy):
        p = theta
        for x, y in zip(sx, sy):
            g, value = of(loss, p, x, y)
            p = moved(p, g, rate)
        return {n: theta[n] - p[n] for n in p}, value

    def prototypical(theta, x, y):
        return of(loss, theta, x, y)

    of_task = {"maml": maml, "fomaml": fomaml, "reptile": reptile, "prototypical": prototypical}[kind]
    if "vmap" in variant:
        return compiled(functools.partial(all_at_once, of_task), variant)
    return functools.partial(one_by_one, compiled(of_task, variant))


def one_by_one(of_task, theta, *tasks):
    results = [of_task(theta, *task) for task in zip(*tasks)]
    gradient = {n: functools.reduce(torch.add, [g[n] for g, _ in results]) / len(results) for n in theta}
    return gradient, sum(value for _, value in results) / len(results)


def all_at_once(of_task, theta, *tasks):
    gradient, value = vmap(functools.partial(of_task, theta))(*tasks)
    return {n: v.mean(0) for n, v in gradient.items()}, value.mean()


def compiled(f, variant, **options):
    return torch.compile(f, dynamic=False, fullgraph=True, options=options) if variant.startswith("compile") else f


# ------------------------------------------------------------- sinusoids: all tasks at once, derivatives by hand


def times(h, w):
    return h @ (w[0] if w.shape[0] == 1 else w)


def perceptron_gradient(p, x, y):
    """Parameters are `[tasks or 1, outputs or 1, inputs or outputs]`. Also returns what a product with the Hessian needs."""
    w1, b1, w2, b2, w3, b3 = p
    h1 = F.relu(x * w1 + b1)
    h2 = F.relu(times(h1, w2.mT) + b2)
    error = (h2 * w3).sum(-1, keepdim=True) + b3 - y
    e = error * (2 / x.shape[1])
    d2 = (e * w3) * (h2 > 0)
    d1 = times(d2, w2) * (h1 > 0)
    g = ((x * d1).sum(1, True), d1.sum(1, True), d2.mT @ h1, d2.sum(1, True), (e * h2).sum(1, True), e.sum(1, True))
    return g, (h1, h2, e, d2), error.square().mean()


def perceptron_product(p, x, kept, v):
    """The Hessian times `v`; `r…` are derivatives along it."""
    (_, _, w2, _, w3, _), (v1, c1, v2, c2, v3, c3), (h1, h2, e, d2) = p, v, kept
    rh1 = (x * v1 + c1) * (h1 > 0)
    rh2 = (times(rh1, w2.mT) + h1 @ v2.mT + c2) * (h2 > 0)
    re = ((rh2 * w3 + h2 * v3).sum(-1, keepdim=True) + c3) * (2 / x.shape[1])
    rd2 = (re * w3 + e * v3) * (h2 > 0)
    rd1 = (times(rd2, w2) + d2 @ v2) * (h1 > 0)
    return ((x * rd1).sum(1, True), rd1.sum(1, True), rd2.mT @ h1 + d2.mT @ rh1, rd2.sum(1, True),
            (re * h2 + e * rh2).sum(1, True), re.sum(1, True))


def sinusoid_by_hand(rate, steps, theta, sx, sy, qx, qy):
    names = [f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    shapes = [(1, 1, -1), (1, 1, -1), (1, *theta["layers.1.weight"].shape), (1, 1, -1), (1, 1, -1), (1, 1, 1)]
    p, path = tuple(theta[n].reshape(shape) for n, shape in zip(names, shapes)), []
    for _ in range(steps):
        g, kept, _ = perceptron_gradient(p, sx, sy)
        path.append((p, kept))
        p = tuple(w - rate * d for w, d in zip(p, g))
    v, _, value = perceptron_gradient(p, qx, qy)
    for p, kept in reversed(path):
        v = tuple(w - rate * d for w, d in zip(v, perceptron_product(p, sx, kept, v)))
    return {n: w.mean(0).view_as(theta[n]) for n, w in zip(names, v)}, value


# ------------------------------------------------------------- learned optimizers: arrays are [units, coordinates]


def matrices(phi):
    """Of each layer one matrix, for its input, its state and ones; and the read-out's."""
    layers = [torch.cat([phi[f"lstm.{i}.weight_ih"], phi[f"lstm.{i}.weight_hh"],
                         (phi[f"lstm.{i}.bias_ih"] + phi[f"lstm.{i}.bias_hh"])[:, None]], 1) for i in range(2)]
    return *layers, torch.cat([phi["output.weight"], phi["output.bias"][None]], 1)


def preprocess(g):
    size = g.abs()
    is_large = size >= math.exp(-10)
    return torch.stack([torch.where(is_large, size.clamp_min(1e-30).log() / 10, -1.0),
                        torch.where(is_large, g.sign(), math.exp(10) * g)])


def tanh(x):
    """By a sigmoid where it is compiled: three times as fast as what the compiler calls."""
    return 2 * torch.sigmoid(2 * x) - 1 if torch.compiler.is_compiling() else x.tanh()


def step_forward(w0, w1, w_out, theta, g, h0, c0, h1, c1):
    """θ and the state behind a step, and what the way back needs."""
    x, ones, states, kept = preprocess(g), torch.ones_like(theta)[None], [], []
    for w, h, c in ((w0, h0, c0), (w1, h1, c1)):
        a = torch.cat([x, h, ones])
        i, f, z, o = (w @ a).chunk(4)
        i, f, z, o = i.sigmoid(), f.sigmoid(), tanh(z), o.sigmoid()
        new = f * c + i * z
        x = o * tanh(new)
        states += [x, new]
        kept.append((a, i, f, z, o, c, new))
    return theta + 0.1 * (w_out[:, :-1] @ x + w_out[:, -1:])[0], states, kept


def step_backward(w0, w1, w_out, kept, cotangent, dh0, dc0, dh1, dc1, d0, d1, d_out):
    """`cotangent` is that of θ behind the step; adds to `d0`, `d1` and `d_out`, the gradients by the matrices."""
    def cell(kept, dh, dc, d):
        a, i, f, z, o, c, new = kept
        t = tanh(new)
        dc = dc + dh * o * (1 - t * t)
        dz = torch.cat([dc * z * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - z * z), dh * t * o * (1 - o)])
        return dz, dc * f, torch.addmm(d, dz, a.T)

    hidden, d_new = dh0.shape[0], 0.1 * cotangent[None]
    _, _, _, _, o, _, new = kept[1]
    d_out = d_out + torch.cat([d_new @ (o * tanh(new)).T, d_new.sum()[None, None]], 1)
    dz, dc1, d1 = cell(kept[1], dh1 + w_out[:, :-1].T * d_new, dc1, d1)
    below, dh1 = (w1[:, :-1].T @ dz).split(hidden)
    dz, dc0, d0 = cell(kept[0], dh0 + below, dc0, d0)
    return w0[:, -1 - hidden:-1].T @ dz, dc0, dh1, dc1, d0, d1, d_out


def unroll_by_hand(phi, theta, gradient_at, steps):
    """`gradient_at(t, θ)` is f_t's gradient and value at θ; the gradient is read, and is the cotangent of f_t's loss."""
    w, into_phi = vjp(matrices, phi)
    zeros = theta.new_zeros(phi["output.weight"].shape[1], theta.numel())
    state, kept, gradients, values = [zeros] * 4, [], [], []
    for t in range(steps + 1):
        g, value = gradient_at(t, theta)
        gradients.append(g)
        values.append(value)
        if t < steps:
            theta, state, k = step_forward(*w, theta, g, *state)
            kept.append(k)
    cotangent, back = torch.zeros_like(theta), [zeros] * 4 + [torch.zeros_like(m) for m in w]
    for t in reversed(range(steps)):
        cotangent = cotangent + gradients[t + 1]
        back = step_backward(*w, kept[t], cotangent, *back)
    return into_phi(tuple(back[4:]))[0], sum(values[1:])


def unroll_by_autograd(phi, theta, gradient_at, steps):
    def linear(phi, values):
        w, at, total = matrices(phi), theta, 0.0
        state = [theta.new_zeros(phi["output.weight"].shape[1], theta.numel())] * 4
        for t in range(steps + 1):
            g, value = gradient_at(t, at.detach())
            if t > 0:
                total = total + (g * at).sum()     # its gradient is that of the losses
                values.append(value)
            if t < steps:
                at, state, _ = step_forward(*w, at, g, *state)
        return total

    values = []
    return gradient_by_autograd(linear, phi, values)[0], sum(values)


def unroll_by_library(phi, theta, gradient_at, steps):
    """With the library's LSTM over the whole sequence, which takes gradients that do not depend on θ."""
    def linear(phi):
        weights = [phi[f"lstm.{i}.{part}"] for i in range(2) for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        h, _, _ = torch._VF.lstm(x, (zeros, zeros), weights, True, 2, 0.0, True, False, False)
        return (0.1 * F.linear(h, phi["output.weight"], phi["output.bias"])[..., 0] * cotangents).sum()

    gradients = torch.stack([gradient_at(t, theta)[0] for t in range(steps + 1)])
    x, cotangents = preprocess(gradients[:-1]).permute(1, 2, 0).contiguous(), gradients[1:].flip(0).cumsum(0).flip(0)
    zeros = x.new_zeros(2, theta.numel(), phi["output.weight"].shape[1])
    return gradient_by_autograd(linear, phi)


UNROLL = {"nn.LSTM": unroll_by_library, "eager": unroll_by_autograd, "hand": unroll_by_hand, "compile": unroll_by_hand}


def on_gradients(variant):
    """Where gradients are given, `[steps + 1, coordinates]`: the sum over blocks of coordinates, which fit into a cache."""
    way, _, is_in_blocks = variant.partition("-")
    of_block = compiled(lambda phi, theta, g: UNROLL[way](phi, theta, lambda t, _: (g[t], theta.sum()), len(g) - 1)[0], variant)

    def run(phi, theta, gradients):
        blocks = gradients.chunk(10 if is_in_blocks else 1, 1)
        parts = [of_block(phi, theta[: g.shape[1]], g.contiguous()) for g in blocks]
        return {n: functools.reduce(torch.add, [g[n] for g in parts]) for n in phi}, None

    return run


def perceptron_at(x, y, sizes):
    """The optimizee: a perceptron's loss on minibatch t, of one vector of parameters."""
    shapes = [shape for i, o in zip(sizes, sizes[1:]) for shape in ((o, i), (o,))]

    def loss(theta, t):
        p = [w.view(s) for w, s in zip(theta.split([math.prod(s) for s in shapes]), shapes)]
        return F.cross_entropy(F.linear(torch.sigmoid(F.linear(x[t], p[0], p[1])), p[2], p[3]), y[t])

    return lambda t, theta: grad_and_value(loss)(theta, t)


def on_minibatches(variant, sizes):
    def run(phi, theta, x, y):
        return UNROLL[variant](phi, theta, perceptron_at(x, y, sizes), len(x) - 1)
    return compiled(run, variant)


# ------------------------------------------------------------- workloads: (function, its arguments, tasks a call)

#                     learner, ways, shots, queries, inner steps, tasks at once
EPISODES = {
    "maml-1q": ("maml", 5, 1, 1, 1, 32),
    "maml-15q": ("maml", 5, 1, 15, 1, 32),
    "maml-5step": ("maml", 5, 1, 15, 5, 32),
    "fomaml-5step": ("fomaml", 5, 1, 15, 5, 32),
    "reptile": ("reptile", 5, 2, 0, 10, 5),
    "sinusoid": ("sinusoid", 1, 10, 10, 1, 25),
    "prototypical-60w5s": ("prototypical", 60, 5, 5, 0, 1),
    "prototypical-20w5s": ("prototypical", 20, 5, 15, 0, 1),
}
ONE_BY_ONE = ["eager", "eager-last", "compile-last", "compile-products"]
VARIANTS = dict.fromkeys(EPISODES, ONE_BY_ONE + ["vmap", "compile-vmap", "compile-vmap-products"]) | {
    "sinusoid": ["eager", "vmap", "hand", "compile-vmap", "compile-hand"],
    "prototypical-60w5s": ONE_BY_ONE[:-1],
    "prototypical-20w5s": ONE_BY_ONE[:-1],
    "learned-optimizer": ["eager", "hand", "compile"],
    "lstm": ["nn.LSTM", "eager", "eager-blocks", "hand-blocks", "compile-blocks"],
}


def episode_learner(kind, variant, stride, ways, shots, rate, steps):
    if kind == "sinusoid":
        by_hand = functools.partial(sinusoid_by_hand, rate, steps)
        return compiled(by_hand, variant, cpp_wrapper=True) if "hand" in variant else learner("maml", variant, perceptron, rate, steps)
    if kind == "prototypical":
        return learner(kind, variant, functools.partial(prototypical, ways=ways, shots=shots, variant=variant), rate, steps)
    return learner(kind, variant, functools.partial(classifier, stride=stride, variant=variant), rate, steps)


def laid_out(variant, tensors):
    if not variant.endswith("-last"):
        return tensors
    return {n: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v for n, v in tensors.items()}


def linear(inputs, outputs, weight, bias):
    return {weight: torch.randn(outputs, inputs) / inputs**0.5, bias: torch.zeros(outputs)}


def encoder(filters=64):
    p = {}
    for i, channels in enumerate((1, filters, filters, filters)):
        p[f"encoder.{i}.conv.weight"] = torch.randn(filters, channels, 3, 3) * (2 / (9 * channels)) ** 0.5
        p |= {f"encoder.{i}.{n}": torch.zeros(filters) for n in ("conv.bias", "norm.bias")}
        p[f"encoder.{i}.norm.weight"] = torch.ones(filters)
    return p


def episodes(name, variant):
    kind, ways, shots, queries, steps, tasks = EPISODES[name]
    labels = lambda examples: torch.arange(ways).repeat_interleave(examples).expand(tasks, -1)
    run = episode_learner(kind, variant, 2, ways, shots, 0.01, steps)
    if kind == "sinusoid":
        sizes = (1, 40, 40, 1)
        layers = [linear(sizes[i], sizes[i + 1], f"layers.{i}.weight", f"layers.{i}.bias") for i in range(3)]
        sx, qx = (10 * torch.rand(tasks, n, 1) - 5 for n in (shots, queries))
        return run, (layers[0] | layers[1] | layers[2], sx, sx.sin(), qx, qx.sin()), tasks
    theta = laid_out(variant, encoder())
    if kind == "prototypical":
        return run, (theta, torch.rand(tasks, ways * (shots + queries), 1, 28, 28), labels(queries)), tasks
    theta |= linear(256, ways, "head.weight", "head.bias")
    if kind == "reptile":
        return run, (theta, torch.rand(tasks, steps, 10, 1, 28, 28), labels(shots)[:, None].expand(-1, steps, -1)), tasks
    sx, qx = (torch.rand(tasks, ways * n, 1, 28, 28) for n in (shots, queries))
    return run, (theta, sx, labels(shots), qx, labels(queries)), tasks


def trajectory(name, variant, steps=20, hidden=20, coordinates=15_910):
    phi = linear(hidden, 1, "output.weight", "output.bias")
    for i, inputs in enumerate((2, hidden)):
        phi |= linear(inputs, 4 * hidden, f"lstm.{i}.weight_ih", f"lstm.{i}.bias_ih")
        phi |= linear(hidden, 4 * hidden, f"lstm.{i}.weight_hh", f"lstm.{i}.bias_hh")
    if name == "lstm":
        at = torch.arange((steps + 1) * coordinates)
        gradients = ((at * 37 % 101 / 50 - 1) / (1 + at % 1000)).view(steps + 1, -1)     # those of `lyceum bench`
        return on_gradients(variant), (phi, torch.zeros(coordinates), gradients), 1
    x, y = torch.rand(steps + 1, 128, 784), torch.randint(10, (steps + 1, 128))
    return on_minibatches(variant, (784, 20, 10)), (phi, 0.1 * torch.randn(coordinates), x, y), 1


# ------------------------------------------------------------- timing


def per_second(name, variant, threads, seconds, barrier=None):
    """Tasks a second: the median of five repetitions, behind two calls that are not counted."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    run, arguments, tasks = (episodes if name in EPISODES else trajectory)(name, variant)
    run(*arguments), run(*arguments)
    if barrier:
        barrier.wait()
    rates = []
    for _ in range(5):
        started, calls = time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - started < seconds / 5:
            run(*arguments)
            calls += 1
        rates.append(tasks * calls / (time.perf_counter() - started))
    return statistics.median(rates)


def in_processes(name, variant, count, seconds):
    """The same by so many processes of one thread each, at the same time."""
    context = torch.multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(count) as pool:
        barrier = manager.Barrier(count)
        return sum(pool.starmap(per_second, [(name, variant, 1, seconds, barrier)] * count, chunksize=1))


# ------------------------------------------------------------- checking


def read_case(path):
    from safetensors.torch import load_file

    tensors = {n: v.double() if v.is_floating_point() else v for n, v in load_file(path.with_suffix(".safetensors")).items()}
    parts = [{n.removeprefix(part): v for n, v in tensors.items() if n.startswith(part)}
             for part in ("params/", "episode/", "expect/meta_gradient/")]
    return tomllib.loads(path.read_text()), *parts, tensors["expect/loss"].item()


def workload_of(case):
    """The workloads whose functions compute the case: one of several that differ in sizes alone."""
    if case.get("optimizee") == "mlp":
        return ["learned-optimizer", "lstm"]
    kind = "sinusoid" if case.get("network") == "mlp" else case["algorithm"]
    return [name for name, (of, *_) in EPISODES.items() if of == kind][:1]


def computed(case, workload, variant, theta, episode):
    """Meta-gradient and loss (none where a workload has none) of a case, by the functions that are timed."""
    if workload in ("learned-optimizer", "lstm"):
        start, x, y = (episode[n] for n in ("theta0", "mlp.x", "mlp.y"))
        if workload == "learned-optimizer":
            return on_minibatches(variant, case["layers"])(theta, start, x, y)
        gradients, gradient_at = [], perceptron_at(x, y, case["layers"])
        unroll_by_hand(theta, start, lambda t, at: gradients.append(gradient_at(t, at)) or gradients[-1], case["unroll"])
        return on_gradients(variant)(theta, start, torch.stack([g for g, _ in gradients]))
    stride, rate, steps = 2 if case.get("downsample") == "stride" else 1, case.get("inner_lr"), case.get("inner_steps", 0)
    run = episode_learner(EPISODES[workload][0], variant, stride, case.get("ways"), case["shots"], rate, steps)
    twice = [v.expand(2, *v.shape) for v in (episode[n] for n in ("support.x", "support.y", "query.x", "query.y"))]
    theta = laid_out(variant, theta)
    if case["algorithm"] == "prototypical":
        return run(theta, torch.cat([twice[0], twice[2]], 1), twice[3])
    if case["algorithm"] == "reptile":
        g, _ = run(theta, *(v[:, None].expand(2, steps, *v.shape[1:]) for v in twice[:2]))
        return g, classifier(moved(theta, g, 1), episode["query.x"], episode["query.y"], stride, variant)
    return run(theta, *twice)


def check(folder, chosen):
    """How many disagree: relative errors over all parameters together, and of the loss, beyond 1e-9."""
    torch.set_default_dtype(torch.float64)
    norm, failures = lambda tree: math.sqrt(sum(v.square().sum().item() for v in tree.values())), 0
    for path in sorted(folder.glob("*.toml")):
        case, theta, episode, expected, expected_loss = read_case(path)
        for workload in workload_of(case):
            for variant in (v for v in VARIANTS[workload] if chosen in (None, v)):
                torch.compiler.reset()
                try:
                    g, loss = computed(case, workload, variant, theta, episode)
                    errors = [norm({n: g[n] - v for n, v in expected.items()}) / norm(expected)]
                    errors += [abs(loss.item() / expected_loss - 1)] if loss is not None else []
                    failed, result = not max(errors) < 1e-9, "  ".join(f"{error:.1e}" for error in errors)
                except Exception as reason:
                    failed, result = True, in_a_line(reason)
                failures += failed
                print(f"{path.stem:22} {workload:18} {variant:22} {'FAILED  ' * failed}{result}", flush=True)
    return failures


# ------------------------------------------------------------- command line


def in_a_line(reason):
    return f"{type(reason).__name__}: {' '.join(str(reason).split())[:300]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", action="store_true", help="as many processes of one thread each, in place of threads")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each variant, behind its compilation")
    parser.add_argument("--variant", help="one alone")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    parser.add_argument("--check", type=Path, metavar="DIR", help="compares with the reference cases in DIR instead")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(VARIANTS):
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    if options.check:
        sys.exit(check(options.check, options.variant) > 0)
    for name in options.workloads or VARIANTS:
        for variant in (v for v in VARIANTS[name] if options.variant in (None, v)):
            line = {"peer": "pytorch", "version": torch.__version__, "workload": name, "variant": variant, "threads": options.threads}
            torch.compiler.reset()
            try:
                time_it = in_processes if options.processes else per_second
                line["per_second"] = time_it(name, variant, options.threads, options.seconds)
                result = f"{line['per_second']:12.2f} / s"
            except Exception as reason:
                line["failed"] = in_a_line(reason)
                result = f"failed: {line['failed']}"
            print(json.dumps(line) if options.json else f"{name:18} {variant:22} {options.threads:3} {result}", flush=True)


if __name__ == "__main__":
    main()
