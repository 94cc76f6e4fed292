#!/usr/bin/env python3
"""Times JAX on the workloads of `lyceum bench`, on the same number of cores.

    python benches/peers/jax_peer.py [WORKLOAD ...] [--threads N] [--seconds S] [--variant V] [--json]
    python benches/peers/jax_peer.py --check tests/cases [WORKLOAD ...] [--variant V]

Each workload is written in several ways (`--list` has them), of which the fastest is what JAX does. A line is the median of
several repetitions, after compilation and warm-up. A repetition is whole meta-steps, mean meta-gradients of synthetic episodes
that are in memory, without the sampling and the meta-optimizer that `lyceum bench` does as well. With several threads there is a
device for each, which takes its share of the episodes, or one device for all ("one-device"). `--check` compares the functions
that are timed, in float64, with the cases that `lyceum gradient` reads.

What it sets, and why, is in `limit`; XLA_FLAGS of one's own come behind, and win. On a Xeon with AVX-512 none of these made
anything faster that could be told from noise: vectors of 512 bits, fast math, oneDNN, the other scheduler, no fusion emitters.
YNNPACK's products were three times slower.

Needs jax and numpy, and Linux; run with Python 3.11, jax and jaxlib 0.10.2, numpy 2.4.6.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import sys
import time
import tomllib
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description="Times JAX on the workloads of `lyceum bench`.")
    parser.add_argument("workloads", metavar="WORKLOAD", nargs="*", help="all where none is named")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="cores that JAX may use")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="for each variant, three repetitions at least")
    parser.add_argument("--variant", metavar="V", help="only variants whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--list", action="store_true", help="name the variants, and time none")
    parser.add_argument("--check", type=Path, metavar="DIR", help="compare with the cases of a folder instead; slow to compile")
    return parser.parse_args()


def limit(threads):
    """Keeps this process on so many cores, before XLA is loaded.

    It begins anew with an allocator that keeps what it has and asks for huge pages: the arrays of a step may be hundreds of
    megabytes, and to get their pages from the kernel again each time takes a tenth of it and more.
    """
    if "GLIBC_TUNABLES" not in os.environ:
        keep = {"hugetlb": 1, "mmap_max": 0, "trim_threshold": 1 << 40, "arena_max": 1}
        os.environ["GLIBC_TUNABLES"] = ":".join(f"glibc.malloc.{name}={value}" for name, value in keep.items())
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        sys.exit(f"--threads {threads}: this process may run on {len(cores)} cores")
    os.sched_setaffinity(0, cores[:threads])
    flags = [f"--xla_force_host_platform_device_count={threads}", f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"]
    os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")])
    os.environ["NPROC"] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"


ARGUMENTS = arguments()
limit(ARGUMENTS.threads)

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

jax.config.update("jax_enable_x64", ARGUMENTS.check is not None)
tree = jax.tree.map

# ---------------------------------------------------------------- networks
# Images are [image, row, column, channel], a convolution's weights [filter, tap * channel], a linear layer's [in, out].


def taps(x, stride):
    """The nine images, shifted, that a convolution of 3x3 with a border of one multiplies."""
    rows, columns = (-(-side // stride) for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for i, j in itertools.product(range(3), range(3)):
        yield x[:, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]


def conv_lax(x, w, stride):
    w = w.reshape(-1, 3, 3, x.shape[-1])
    return lax.conv_general_dilated(x, w, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "OHWI", "NHWC"))


def conv_taps(x, w, stride):
    return sum(tap @ v.T for tap, v in zip(taps(x, stride), jnp.split(w, 9, axis=1)))


def conv_patches(x, w, stride):
    return jnp.concatenate(list(taps(x, stride)), axis=-1) @ w.T


CONVOLUTIONS = {"lax": conv_lax, "taps": conv_taps, "patches": conv_patches}


def max_pool(x):
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def block(x, p, name, conv, pool):
    """Convolution, batch norm by the batch's own statistics, ReLU, max pool.

    A bias ahead of a batch norm cancels, and its gradient is zero: none is added. The pool goes ahead of the ReLU, which
    takes the same values and a quarter of the time.
    """
    x = conv(x, p[f"{name}.conv.weight"], 1 if pool else 2)
    mean = x.mean((0, 1, 2))
    variance = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
    scale = p[f"{name}.norm.weight"] * lax.rsqrt(variance + 1e-5)
    x = x * scale + (p[f"{name}.norm.bias"] - mean * scale)
    return jax.nn.relu(max_pool(x) if pool else x)


def conv4(config, variant):
    conv, pool = CONVOLUTIONS[variant["conv"]], config["downsample"] == "max_pool"

    def network(p, x):
        for i in range(4):
            x = block(x, p, f"encoder.{i}", conv, pool)
        x = x.reshape(len(x), -1)
        return x @ p["head.weight"] + p["head.bias"] if "head.weight" in p else x

    return network


def mlp(config, variant):
    def network(p, x):
        for i in range(layers := len(config["hidden"]) + 1):
            x = x @ p[f"layers.{i}.weight"] + p[f"layers.{i}.bias"]
            x = jax.nn.relu(x) if i + 1 < layers else x
        return x

    return network


def cross_entropy(logits, one_hot):
    return -(one_hot * jax.nn.log_softmax(logits)).sum(-1).mean()


def mean_square(output, target):
    return jnp.square(output - target).mean()


# ---------------------------------------------------------------- learners
# A learner is of a configuration and a variant. It gives (parameters, episode) -> loss, which JAX is to differentiate, and True;
# or (parameters, episode) -> (loss, meta-gradient), and False.


def setting(config, variant):
    network = (mlp if config["network"] == "mlp" else conv4)(config, variant)
    objective = mean_square if config["network"] == "mlp" else cross_entropy
    return lambda p, x, y: objective(network(p, x), y)


def maml(config, variant):
    """Exact MAML by reverse over reverse, or by products with the Hessian; or first-order MAML."""
    loss, rate, steps = setting(config, variant), config["inner_lr"], config["inner_steps"]
    moved = lambda p, direction: tree(lambda a, b: a - rate * b, p, direction)

    def adapted(p, episode):
        support = episode["support.x"], episode["support.y"]
        for _ in range(steps):
            gradient = jax.grad(loss)(p, *support)
            p = moved(p, lax.stop_gradient(gradient) if config["algorithm"] == "fomaml" else gradient)
        return loss(p, episode["query.x"], episode["query.y"])

    def by_products(p, episode):
        support, products = (episode["support.x"], episode["support.y"]), []
        for _ in range(steps):
            gradient, product = jax.linearize(lambda q: jax.grad(loss)(q, *support), p)
            products.append(product)
            p = moved(p, gradient)
        value, direction = jax.value_and_grad(loss)(p, episode["query.x"], episode["query.y"])
        for product in reversed(products):
            direction = moved(direction, product(direction))
        return value, direction

    return (by_products, False) if variant.get("hessian") == "products" else (adapted, True)


def reptile(config, variant):
    """The support set comes in as batches, one a step."""
    loss, rate = setting(config, variant), config["inner_lr"]

    def learner(p, episode):
        fast = p
        for x, y in zip(episode["support.x"], episode["support.y"]):
            fast = tree(lambda a, b: a - rate * b, fast, jax.grad(loss)(fast, x, y))
        return loss(fast, episode["query.x"], episode["query.y"]), tree(lambda a, b: a - b, p, fast)

    return learner, False


def prototypical(config, variant):
    """What is left out of the squared distance, a query's own square, is the same for all classes."""
    network, ways, shots = conv4(config, variant), config["ways"], config["shots"]

    def loss(p, episode):
        z = network(p, jnp.concatenate([episode["support.x"], episode["query.x"]]))
        prototypes = z[: ways * shots].reshape(ways, shots, -1).mean(1)
        return cross_entropy(2 * z[ways * shots :] @ prototypes.T - jnp.square(prototypes).sum(-1), episode["query.y"])

    return loss, True


def optimizee(config):
    """The loss of parameters at one step, and what the step is given."""
    if config["optimizee"] == "given":
        return lambda theta, given: theta @ given["gradient"]
    inputs, hidden, outputs = config["layers"]
    shapes = [(hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
    ends = np.cumsum([math.prod(shape) for shape in shapes])

    def loss(theta, given):
        w, b, v, c = (part.reshape(shape) for part, shape in zip(jnp.split(theta, ends[:-1]), shapes))
        return cross_entropy(jax.nn.sigmoid(given["x"] @ w.T + b) @ v.T + c, given["y"])

    return loss


def preprocess(g, p, axis):
    big, size = jnp.abs(g) >= math.exp(-p), jnp.abs(g)
    log = jnp.where(big, jnp.log(jnp.maximum(size, math.exp(-p))) / p, -1)
    return jnp.stack([log, jnp.where(big, jnp.sign(g), math.exp(p) * g)], axis)


def learned_optimizer(config, variant):
    """All coordinates at once: as rows of one matrix, or as its columns; or some at a time, which then stay in a cache.

    The optimizee's gradients are held constant, so f_t(theta_t) is differentiated by way of gradient_t @ theta_t, where the
    gradient is the one that step t reads: none is computed twice.
    """
    loss, hidden, steps, scale = optimizee(config), config["hidden"], config["unroll"], config["output_scale"]
    axis = 0 if variant["layout"] == "columns" else 1
    times = (lambda w, x: w @ x) if axis == 0 else (lambda w, x: x @ w.T)

    def cell(x, h, c, p, name):
        bias = jnp.expand_dims(p[f"{name}.bias_ih"] + p[f"{name}.bias_hh"], 1 - axis)
        w = p[f"{name}.weight_ih"], p[f"{name}.weight_hh"]
        if variant["dot"] == "one":
            z = times(jnp.concatenate(w, 1), jnp.concatenate([x, h], axis))
        else:
            z = times(w[0], x) + times(w[1], h)
        i, f, g, o = jnp.split(z + bias, 4, axis)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def evaluated(theta, given):
        """The loss, as above, and the gradient that it has."""
        value, gradient = lax.stop_gradient(jax.value_and_grad(loss)(*lax.stop_gradient((theta, given))))
        return value + gradient @ (theta - lax.stop_gradient(theta)), gradient

    def trajectory(phi, episode):
        """The sum of losses, and the gradients at all steps."""

        def step(carry, given):
            theta, state = carry
            value, gradient = evaluated(theta, given)
            x, after = preprocess(gradient, config["preprocess_p"], axis), []
            for i in range(2):
                x, c = cell(x, *state[i], phi, f"lstm.{i}")
                after.append((x, c))
            move = times(phi["output.weight"], x).reshape(theta.shape) + phi["output.bias"]
            return (theta + scale * move, after), (value, gradient)

        theta, given = episode["theta0"], episode["given"]
        zero = jnp.zeros((hidden, len(theta)) if axis == 0 else (len(theta), hidden), theta.dtype)
        before, last = tree(lambda a: a[:steps], given), tree(lambda a: a[steps], given)
        step = jax.checkpoint(step) if variant["keep"] == "little" else step
        (theta, _), (values, gradients) = lax.scan(step, (theta, [(zero, zero)] * 2), before, unroll=variant.get("unroll", 1))
        value, gradient = evaluated(theta, last)
        return values[1:].sum() + value, jnp.concatenate([gradients, gradient[None]])

    def by_blocks(phi, episode):
        """Coordinates meet nowhere but in the optimizee. Once its gradients are known, each block of coordinates can go all the
        way by itself; those that fill the last block have gradients of zero, and add nothing.
        """
        value, gradients = trajectory(phi, episode) if config["optimizee"] != "given" else (0, episode["given"]["gradient"])
        alone, _ = learned_optimizer(config | {"optimizee": "given"}, variant | {"block": None})
        size = variant["block"]
        fill = -len(episode["theta0"]) % size
        theta = jnp.pad(episode["theta0"], (0, fill)).reshape(-1, size)
        gradients = jnp.pad(gradients, ((0, 0), (0, fill))).reshape(steps + 1, -1, size).swapaxes(0, 1)

        def add(total, block):
            result = jax.value_and_grad(alone)(phi, {"theta0": block[0], "given": {"gradient": block[1]}})
            return tree(jnp.add, total, result), None

        nothing = tree(jnp.zeros_like, (theta[0, 0], phi))
        (sum_of_products, gradient), _ = lax.scan(add, nothing, (theta, gradients))
        return sum_of_products if config["optimizee"] == "given" else value, gradient

    return (by_blocks, False) if variant.get("block") else (lambda phi, episode: trajectory(phi, episode)[0], True)


LEARNERS = {f.__name__: f for f in [maml, reptile, prototypical, learned_optimizer]} | {"fomaml": maml}

# ---------------------------------------------------------------- meta-steps


SIDE_BY_SIDE = {"loop": 1, "scan": 1, "vmap4": 4}
"""Episodes that a device computes at once; in all other variants all of those that it has."""


def meta_step(config, variant, p, episodes, devices):
    """What takes one meta-step, or several, and gives the mean loss and meta-gradient of the last.

    "loop": one compiled program, called for each episode of a device; "scan", "vmap4", "vmap": one program that goes through all
    of them; "steps": one program for all of [meta-step, episode], which moves the parameters between.
    """
    function, is_loss = LEARNERS[config["algorithm"]](config, variant)
    tasks, mesh = variant["tasks"], Mesh(jax.devices()[:devices], "device")
    axis = 1 if tasks == "steps" else 0
    count = jax.tree.leaves(episodes)[0].shape[axis]
    at = SIDE_BY_SIDE.get(tasks, count // devices)
    place = lambda episodes: jax.device_put(episodes, NamedSharding(mesh, P(*[None] * axis, "device")))

    def together(p, episodes):
        side_by_side = jax.vmap(function, (None, 0))
        if at == 1:
            side_by_side = lambda p, episodes: tree(lambda a: a[None], function(p, tree(lambda a: a[0], episodes)))
        if is_loss:
            return jax.value_and_grad(lambda p: side_by_side(p, episodes).mean())(p)
        return tree(lambda a: a.mean(0), side_by_side(p, episodes))

    def add(total, p, episodes):
        return tree(jnp.add, total, together(p, episodes))

    def add_all(total, p, episodes):
        chunks = tree(lambda a: a.reshape(-1, at, *a.shape[1:]), episodes)
        return lax.scan(lambda total, chunk: (add(total, p, chunk), None), total, chunks)[0]

    def on_devices(part):
        """Each device adds to a total of its own."""
        part_of_one = lambda total, p, episodes: tree(lambda a: a[None], part(tree(lambda a: a[0], total), p, episodes))
        specs = dict(in_specs=(P("device"), P(), P("device")), out_specs=P("device"), check_vma=False)
        return jax.shard_map(part_of_one, mesh=mesh, **specs) if devices > 1 else part_of_one

    def begin(p):
        return tree(lambda a: jnp.zeros((devices, *a.shape), a.dtype), (jax.tree.leaves(p)[0].sum(), p))

    def end(total):
        return tree(lambda a: a.sum(0) * (at / count), total)

    def whole(p, episodes):
        return end(on_devices(add_all)(begin(p), p, episodes))

    def moved(p, episodes):
        loss, gradient = whole(p, episodes)
        return tree(lambda a, b: a - 1e-3 * b, p, gradient), (loss, gradient)

    if tasks == "loop":
        step, first, last = jax.jit(on_devices(add), donate_argnums=0), jax.jit(begin), jax.jit(end)
        parts = [place(tree(lambda a: a[i : i + devices], episodes)) for i in range(0, count, devices)]

        def run():
            total = first(p)
            for part in parts:
                total = step(total, p, part)
            return last(total)

        return run
    step = jax.jit((lambda p, episodes: tree(lambda a: a[-1], lax.scan(moved, p, episodes)[1])) if tasks == "steps" else whole)
    episodes = place(episodes)
    return lambda: step(p, episodes)


# ---------------------------------------------------------------- workloads


def images(algorithm, downsample, ways, shots, queries, meta_batch, **others):
    network = dict(network="conv4", downsample=downsample, filters=64, channels=1, image_size=28)
    episode = dict(ways=ways, shots=shots, queries=queries, meta_batch=meta_batch)
    return dict(algorithm=algorithm, inner_lr=0.01) | network | episode | others


SINUSOID = dict(algorithm="maml", network="mlp", hidden=[40, 40], shots=10, inner_lr=0.01, inner_steps=1, meta_batch=25)
LEARNED = dict(algorithm="learned_optimizer", hidden=20, unroll=20, output_scale=0.1, preprocess_p=10.0, meta_batch=1)

WORKLOADS = {
    "maml-1q": images("maml", "stride", 5, 1, 1, 32, inner_steps=1),
    "maml-15q": images("maml", "stride", 5, 1, 15, 32, inner_steps=1),
    "maml-5step": images("maml", "stride", 5, 1, 15, 32, inner_steps=5),
    "fomaml-5step": images("fomaml", "stride", 5, 1, 15, 32, inner_steps=5),
    "reptile": images("reptile", "stride", 5, 1, 1, 5, inner_steps=10, batch=10),
    "prototypical-60w5s": images("prototypical", "max_pool", 60, 5, 5, 2),
    "prototypical-20w5s": images("prototypical", "max_pool", 20, 5, 15, 2),
    "sinusoid": SINUSOID,
    "lstm": LEARNED | dict(optimizee="given", dimension=15_910),
    "learned-optimizer": LEARNED | dict(optimizee="mlp", layers=[784, 20, 10], batch=128),
}


def variants(config, threads=1):
    """All ways that a workload is written in, by name."""

    def of(**choices):
        choices = {key: choice if isinstance(choice, list) else [choice] for key, choice in choices.items()}
        return [dict(zip(choices, chosen)) for chosen in itertools.product(*choices.values())]

    algorithm, hessians = config["algorithm"], ["reverse", "products"]
    if algorithm == "learned_optimizer":
        ways = of(layout=["columns", "rows"], dot=["one", "two"], keep="all", tasks="loop")
        ways += of(layout="columns", dot="one", keep="little", tasks="loop")
        ways += of(layout="columns", dot="one", keep="all", unroll=4, tasks="loop")
        ways += of(layout="columns", dot="one", keep="all", block=[256, 512, 1024], tasks="loop")
        ways += of(layout="rows", dot="one", keep="all", block=512, tasks="loop")
    elif config["network"] == "mlp":
        ways = of(hessian=hessians, tasks=["steps", "vmap"])
    elif algorithm == "prototypical":
        ways = of(conv=list(CONVOLUTIONS), tasks="loop")
    else:
        # Convolutions of XLA's own are slow within its loops, and slower side by side, with weights for each episode.
        ways = of(conv="lax", tasks="loop") + of(conv="taps", tasks="scan") + of(conv="patches", tasks=["scan", "vmap4", "vmap"])
        if algorithm == "maml":
            ways = [way | {"hessian": hessian} for way in ways for hessian in hessians]
    ways += [way | {"devices": "one-device"} for way in ways if threads > 1 and way["tasks"] in ["loop", "vmap"]]
    name = lambda way: "-".join(f"{key}{value}" if isinstance(value, int) else value for key, value in way.items())
    return {name(way): way for way in ways}


def parameters(config, random):
    """Of the sizes of a workload; what the numbers are does not matter to the time."""
    normal = lambda *shape: random.normal(size=shape) / math.sqrt(shape[0])
    if config["algorithm"] == "learned_optimizer":
        h = config["hidden"]
        p = {"output.weight": normal(1, h), "output.bias": np.zeros(1)}
        for i, inputs in enumerate([2, h]):
            p |= {f"lstm.{i}.weight_ih": normal(4 * h, inputs), f"lstm.{i}.weight_hh": normal(4 * h, h)}
            p |= {f"lstm.{i}.bias_ih": np.zeros(4 * h), f"lstm.{i}.bias_hh": np.zeros(4 * h)}
        return p
    if config["network"] == "mlp":
        sizes = [1, *config["hidden"], 1]
        weights = {f"layers.{i}.weight": normal(*pair) for i, pair in enumerate(zip(sizes, sizes[1:]))}
        return weights | {f"layers.{i}.bias": np.zeros(size) for i, size in enumerate(sizes[1:])}
    p, filters, side = {}, config["filters"], config["image_size"]
    for i in range(4):
        p[f"encoder.{i}.conv.weight"] = normal(filters, 9 * (filters if i else config["channels"]))
        p |= {f"encoder.{i}.conv.bias": np.zeros(filters), f"encoder.{i}.norm.bias": np.zeros(filters)}
        p[f"encoder.{i}.norm.weight"] = np.ones(filters)
        side = side // 2 if config["downsample"] == "max_pool" else -(-side // 2)
    if config["algorithm"] != "prototypical":
        p |= {"head.weight": normal(filters * side * side, config["ways"]), "head.bias": np.zeros(config["ways"])}
    return p


def episodes(config, count, random):
    """So many episodes, of noise."""
    one_hot = lambda labels, classes: np.eye(classes)[labels]
    if config["algorithm"] == "learned_optimizer":
        steps = (count, config["unroll"] + 1)
        if config["optimizee"] == "given":
            n = config["dimension"]
            return {"theta0": random.normal(size=(count, n)), "given": {"gradient": 0.1 * random.normal(size=(*steps, n))}}
        inputs, hidden, outputs = config["layers"]
        labels = one_hot(random.integers(outputs, size=(*steps, config["batch"])), outputs)
        given = {"x": random.uniform(size=(*steps, config["batch"], inputs)), "y": labels}
        return {"theta0": 0.1 * random.normal(size=(count, (inputs + 1) * hidden + (hidden + 1) * outputs)), "given": given}
    if config["network"] == "mlp":
        x = random.uniform(-5, 5, size=(count, 2, config["shots"], 1))
        y = random.uniform(0.1, 5, size=(count, 1, 1, 1)) * np.sin(x - random.uniform(0, math.pi, size=(count, 1, 1, 1)))
        return {"support.x": x[:, 0], "support.y": y[:, 0], "query.x": x[:, 1], "query.y": y[:, 1]}
    ways, image = config["ways"], (config["image_size"], config["image_size"], config["channels"])

    def part(*shape):
        labels = np.broadcast_to(np.arange(shape[-1]) * ways // shape[-1], shape)
        return random.normal(size=(*shape, *image)), one_hot(labels, ways)

    support = (config["inner_steps"], config["batch"]) if config["algorithm"] == "reptile" else (ways * config["shots"],)
    (sx, sy), (qx, qy) = part(count, *support), part(count, ways * config["queries"])
    return {"support.x": sx, "support.y": sy, "query.x": qx, "query.y": qy}


def prepared(name, variant, threads):
    """What takes meta-steps, and the episodes in them: as many as each device takes the same number of."""
    config, random = WORKLOADS[name], np.random.default_rng(0)
    devices = 1 if "devices" in variant else threads
    chunk = devices * SIDE_BY_SIDE.get(variant["tasks"], 1)
    count = math.ceil(max(config["meta_batch"], threads) / chunk) * chunk
    meta_steps = 64 if variant["tasks"] == "steps" else 1
    data = tree(np.float32, episodes(config, meta_steps * count, random))
    if meta_steps > 1:
        data = tree(lambda a: a.reshape(meta_steps, count, *a.shape[1:]), data)
    return meta_step(config, variant, tree(jnp.float32, parameters(config, random)), data, devices), meta_steps * count


def measure(name, variant, threads, seconds):
    """Episodes a second: the median of repetitions, each of which is long enough to be timed."""
    run, count = prepared(name, variant, threads)
    for _ in range(2):
        begun = time.perf_counter()
        result = jax.block_until_ready(run())
        took = time.perf_counter() - begun
    if not all(np.isfinite(a).all() for a in jax.tree.leaves(result)):
        raise ArithmeticError("the meta-gradient is not finite")
    calls, rates, begun = max(1, round(seconds / 10 / took)), [], time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        for _ in range(calls):
            result = run()
        jax.block_until_ready(result)
        rates.append(calls * count / (time.perf_counter() - started))
    return statistics.median(rates)


# ---------------------------------------------------------------- the check


def safetensors(path):
    """Its tensors: a header of JSON, and numbers."""
    content, kinds = path.read_bytes(), {"F32": np.float32, "F64": np.float64, "I64": np.int64}
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)

    def tensor(entry):
        first, last = entry["data_offsets"]
        return np.frombuffer(content[end + first : end + last], kinds[entry["dtype"]]).reshape(entry["shape"])

    return {name: tensor(entry) for name, entry in header.items()}


def converted(config, tensors):
    """PyTorch's parameters in this file's order of axes."""

    def one(name, a):
        if name.endswith("conv.weight"):
            return a.transpose(0, 2, 3, 1).reshape(len(a), -1)
        if name == "head.weight":
            return a.reshape(len(a), config["filters"], -1).transpose(2, 1, 0).reshape(-1, len(a))
        return a.T if name.startswith("layers") and a.ndim == 2 else a

    return {name: one(name, a.astype(np.float64)) for name, a in tensors.items()}


def case_episode(config, case):
    if config["algorithm"] == "learned_optimizer":
        given = {"x": case["mlp.x"].astype(np.float64), "y": np.eye(config["layers"][-1])[case["mlp.y"]]}
        return {"theta0": case["theta0"].astype(np.float64), "given": given}
    if config["network"] == "mlp":
        return tree(np.float64, case)
    images_last = lambda a: a.transpose(0, 2, 3, 1).astype(np.float64)
    episode = {name: np.eye(config["ways"])[a] if name.endswith("y") else images_last(a) for name, a in case.items()}
    if config["algorithm"] == "reptile":
        repeat = lambda a: np.stack([a] * config["inner_steps"])
        episode |= {name: repeat(episode[name]) for name in ["support.x", "support.y"]}
    return episode


CASES = {
    "maml_stride_1step": "maml-15q",
    "maml_pool_5step": "maml-5step",
    "maml_rgb_2step": "maml-5step",
    "fomaml_pool_5step": "fomaml-5step",
    "reptile_stride_5step": "reptile",
    "prototypical": "prototypical-20w5s",
    "maml_sinusoid": "sinusoid",
    "learned_optimizer_mlp": "learned-optimizer",
}
"""The workload whose variants compute a case."""


def check(folder, case, variant):
    """The relative errors of loss and meta-gradient, of a meta-step on two copies of the case's episode."""
    config = tomllib.loads((folder / f"{case}.toml").read_text())
    tensors = safetensors(folder / f"{case}.safetensors")
    within = lambda prefix: {name.removeprefix(prefix): a for name, a in tensors.items() if name.startswith(prefix)}
    variant = variant | {"tasks": {"vmap4": "vmap", "steps": "vmap"}.get(variant["tasks"], variant["tasks"])}
    twice = tree(lambda a: np.stack([a, a]), case_episode(config, within("episode/")))
    run = meta_step(config, variant, tree(jnp.asarray, converted(config, within("params/"))), twice, 1)
    loss, gradient = jax.block_until_ready(run())
    expected = converted(config, within("expect/meta_gradient/"))
    square = lambda gradient: sum(float(jnp.square(a).sum()) for a in gradient.values())
    difference = {name: gradient[name] - a for name, a in expected.items()}
    of_loss = abs(float(loss) / float(tensors["expect/loss"][0]) - 1)
    return of_loss, math.sqrt(square(difference) / square(expected))


TOLERANCE = 1e-9


def check_all(folder, chosen):
    failures = 0
    for case, name in CASES.items():
        if ARGUMENTS.workloads and name not in ARGUMENTS.workloads:
            continue
        for label, variant in variants(WORKLOADS[name]).items():
            if chosen in label:
                errors = check(folder, case, variant)
                agrees = all(error <= TOLERANCE for error in errors)
                failures += not agrees
                verdict = "agrees" if agrees else "DISAGREES"
                print(f"{case:<22} {label:<42} {errors[0]:8.1e} {errors[1]:8.1e} {verdict}", flush=True)
    sys.exit(f"{failures} disagree" if failures else 0)


def main():
    chosen = ARGUMENTS.variant or ""
    if ARGUMENTS.check:
        check_all(ARGUMENTS.check, chosen)
    for name in ARGUMENTS.workloads or WORKLOADS:
        if name not in WORKLOADS:
            sys.exit(f"no workload `{name}`; there are {', '.join(WORKLOADS)}")
        for label, variant in variants(WORKLOADS[name], ARGUMENTS.threads).items():
            if chosen not in label:
                continue
            if ARGUMENTS.list:
                print(f"{name:<18} {label}")
                continue
            line = dict(peer="jax", version=jax.__version__, workload=name, variant=label, threads=ARGUMENTS.threads)
            try:
                line["per_second"] = measure(name, variant, ARGUMENTS.threads, ARGUMENTS.seconds)
            except Exception as error:
                line["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
            result = f"{line['per_second']:12.2f}" if "per_second" in line else f"failed: {line['failed']}"
            print(json.dumps(line) if ARGUMENTS.json else f"{name:<18} {label:<42} {ARGUMENTS.threads:>3} {result}", flush=True)


if __name__ == "__main__":
    main()
