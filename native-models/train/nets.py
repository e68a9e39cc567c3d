"""The networks, in JAX: a two-scope DLRM-style ranker and a plain embedding MLP.

The ranker follows DLRM (Naumov et al. 2019): one shared embedding table, a bottom network, dot products, a top network.
Its request half is computed once per request row and gathered, and hands the candidate half `QUERIES` vectors to take
dot products with, and its share of the top network's first layer.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax


INIT = 0.05
"""Deviation of fresh embeddings: smaller ones learn products late, larger ones stay noise where an id is rare."""


def two_scope_init(seed, table_rows, dim, request_ids, request_dense, candidate_ids, candidate_dense, sizes):
    """:param sizes: {"bottom", "queries", "top", "last"}: widths"""
    rng = np.random.default_rng(seed)
    x = request_ids * dim + request_dense
    pair = candidate_ids * (dim + sizes["queries"]) + candidate_dense
    return {
        "table": normal(rng, (table_rows, dim), INIT),
        "bottom_w": he(rng, x, sizes["bottom"]),
        "bottom_b": np.zeros(sizes["bottom"], np.float32),
        "query_w": he(rng, x + sizes["bottom"], dim * sizes["queries"]),
        "query_b": normal(rng, (dim * sizes["queries"],), 0.1),
        "context_w": he(rng, x + sizes["bottom"], sizes["top"]),
        "context_b": np.zeros(sizes["top"], np.float32),
        "top_w": he(rng, pair, sizes["top"]),
        "last_w": he(rng, sizes["top"], sizes["last"]),
        "last_b": np.zeros(sizes["last"], np.float32),
        "out_w": he(rng, sizes["last"], 1),
        "wide_w": he(rng, pair, 1),
        "wide_context_w": he(rng, x + sizes["bottom"], 1),
        "wide_context_b": np.zeros(1, np.float32),
    }


def two_scope_logits(p, request_ids, request_dense, candidate_ids, candidate_dense):
    """One request row per candidate row here; the exported graph gathers instead."""
    rows, dim = candidate_ids.shape[0], p["table"].shape[1]
    request = p["table"][request_ids].reshape(rows, -1)
    x = jnp.concatenate([request, request_dense], axis=1)
    hidden = jax.nn.relu(x @ p["bottom_w"] + p["bottom_b"])
    x = jnp.concatenate([x, hidden], axis=1)
    queries = (x @ p["query_w"] + p["query_b"]).reshape(rows, dim, -1)
    candidate = p["table"][candidate_ids]
    dots = jnp.matmul(candidate, queries).reshape(rows, -1)
    pair = jnp.concatenate([candidate.reshape(rows, -1), dots, candidate_dense], axis=1)
    hidden = jax.nn.relu(pair @ p["top_w"] + x @ p["context_w"] + p["context_b"])
    hidden = jax.nn.relu(hidden @ p["last_w"] + p["last_b"])
    wide = pair @ p["wide_w"] + x @ p["wide_context_w"] + p["wide_context_b"]
    penalty = jnp.mean(jnp.sum(request**2, axis=1)) + jnp.mean(jnp.sum(candidate**2, axis=(1, 2)))
    return (hidden @ p["out_w"] + wide)[:, 0], penalty


def plain_init(seed, table_rows, dim, ids, dense, sizes):
    rng = np.random.default_rng(seed)
    return {
        "table": normal(rng, (table_rows, dim), INIT),
        "top_w": he(rng, ids * dim + dense, sizes["top"]),
        "top_b": np.zeros(sizes["top"], np.float32),
        "last_w": he(rng, sizes["top"], sizes["last"]),
        "last_b": np.zeros(sizes["last"], np.float32),
        "out_w": he(rng, sizes["last"], 1),
        "out_b": np.zeros(1, np.float32),
    }


def plain_outputs(p, ids, dense):
    embedded = p["table"][ids].reshape(ids.shape[0], -1)
    hidden = jax.nn.relu(jnp.concatenate([embedded, dense], axis=1) @ p["top_w"] + p["top_b"])
    hidden = jax.nn.relu(hidden @ p["last_w"] + p["last_b"])
    return (hidden @ p["out_w"] + p["out_b"])[:, 0], jnp.mean(jnp.sum(embedded**2, axis=1))


def log_loss(outputs, labels):
    return jnp.mean(jax.nn.softplus(outputs) - labels * outputs)


def squared_error(outputs, labels):
    return jnp.mean((outputs - labels) ** 2)


def fit(forward, loss, params, batches, steps, rate, decay, report=None):
    """Adam with a cosine rate.

    :param batches: yields (inputs tuple, labels)
    :param decay: weight of the mean squared embedding that a row reads
    """
    schedule = optax.cosine_decay_schedule(rate, steps, alpha=0.02)
    optimiser = optax.adam(schedule)

    def objective(p, inputs, labels):
        outputs, penalty = forward(p, *inputs)
        value = loss(outputs, labels)
        return value + decay * penalty, value

    @jax.jit
    def step(p, state, inputs, labels):
        (_, value), gradients = jax.value_and_grad(objective, has_aux=True)(p, inputs, labels)
        updates, state = optimiser.update(gradients, state, p)
        return optax.apply_updates(p, updates), state, value

    params = jax.tree.map(jnp.asarray, params)
    state = optimiser.init(params)
    total = 0.0
    for number, (inputs, labels) in zip(range(1, steps + 1), batches):
        params, state, value = step(params, state, inputs, labels)
        if number % 100 == 0:
            total = float(value)
            if report is not None:
                report(number, total)
    return {name: np.asarray(value, dtype=np.float32) for name, value in params.items()}


def normal(rng, shape, deviation):
    return (rng.standard_normal(shape) * deviation).astype(np.float32)


def he(rng, inputs, outputs):
    return normal(rng, (inputs, outputs), np.sqrt(1.0 / inputs))
