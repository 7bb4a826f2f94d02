"""Products, attention, recurrence, reductions, and whatever moves and picks elements."""

import torch
from torch import nn
from torch.nn import functional as F

from .case import First, function, given, integers, layer, normal, permutations

PRODUCTS = [
    layer("linear_1", lambda: nn.Linear(6, 4), normal(6)),
    layer("linear_2", lambda: nn.Linear(6, 4), normal(3, 6)),
    layer("linear_3", lambda: nn.Linear(6, 4, bias=False), normal(2, 3, 6)),
    layer("linear_4", lambda: nn.Linear(6, 4), normal(2, 2, 3, 6)),
    layer("bilinear", lambda: nn.Bilinear(4, 5, 3), normal(2, 4), normal(2, 5)),
    function("matmul_1_1", torch.matmul, normal(5), normal(5)),
    function("matmul_2_1", torch.matmul, normal(3, 5), normal(5)),
    function("matmul_1_2", torch.matmul, normal(5), normal(5, 3)),
    function("matmul_2_2", torch.matmul, normal(4, 5), normal(5, 3)),
    function("matmul_3_2", torch.matmul, normal(2, 4, 5), normal(5, 3)),
    function("matmul_3_1", torch.matmul, normal(2, 4, 5), normal(5)),
    function("matmul_1_3", torch.matmul, normal(5), normal(2, 5, 3)),
    function("matmul_4_3", torch.matmul, normal(2, 2, 4, 5), normal(2, 5, 3)),
    function("matmul_5_4", torch.matmul, normal(2, 1, 2, 4, 5), normal(3, 2, 5, 3)),
    function("matmul_6", torch.matmul, normal(2, 1, 2, 2, 4, 5), normal(2, 2, 2, 2, 5, 3)),
    function(
        "matmul_of_transposed", lambda x, y: x.transpose(1, 2) @ y.transpose(1, 2), normal(2, 5, 4), normal(2, 3, 5)
    ),
    function("matmul_constant_left", lambda w, x: w @ x, normal(2, 5, 3), held=[torch.arange(20.0).reshape(4, 5)]),
    function(
        "matmul_of_integers", torch.matmul, integers(-4, 4, 3, 5, dtype="int32"), integers(-4, 4, 5, 2, dtype="int32")
    ),
    function("addmm", lambda c, x, y: torch.addmm(c, x, y, beta=0.5, alpha=2), normal(4), normal(3, 5), normal(5, 4)),
    function("baddbmm", torch.baddbmm, normal(2, 3, 4), normal(2, 3, 5), normal(2, 5, 4)),
    function("outer", torch.outer, normal(4), normal(5)),
    function("einsum_bilinear", lambda x, y: torch.einsum("bi,bj->bij", x, y), normal(2, 3), normal(2, 4)),
    function(
        "einsum_attention", lambda q, k: torch.einsum("bqhd,bkhd->bhqk", q, k), normal(2, 4, 2, 3), normal(2, 5, 2, 3)
    ),
    function("einsum_trace", lambda x: torch.einsum("ii->i", x), normal(4, 4)),
    function("einsum_ellipsis", lambda x, y: torch.einsum("...ij,jk->...ik", x, y), normal(2, 3, 4, 5), normal(5, 6)),
    function(
        "einsum_three", lambda x, y, z: torch.einsum("bi,ij,bj->b", x, y, z), normal(2, 3), normal(3, 4), normal(2, 4)
    ),
    function("einsum_sum", lambda x: torch.einsum("bij->bj", x), normal(2, 3, 4)),
    function("tensordot", lambda x, y: torch.tensordot(x, y, ([1, 2], [0, 2])), normal(2, 3, 4), normal(3, 5, 4)),
    function("kron", torch.kron, normal(2, 3), normal(3, 2)),
    function("cross", lambda x, y: torch.linalg.cross(x, y), normal(4, 3), normal(4, 3)),
    function("cosine_similarity", lambda x, y: F.cosine_similarity(x, y), normal(3, 8), normal(3, 8)),
    function("pairwise_distance", F.pairwise_distance, normal(3, 8), normal(3, 8)),
]


class _SelfAttention(nn.Module):
    """Self-attention with a causal mask that is made in forward, and positions that are embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.position = nn.Embedding(6, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        x = self.embed(tokens) + self.position(torch.arange(length, device=tokens.device))
        mask = torch.triu(torch.full((length, length), float("-inf")), diagonal=1)
        return self.attention(x, x, x, attn_mask=mask, need_weights=False)[0]


_QKV = normal(2, 2, 5, 4), normal(2, 2, 6, 4), normal(2, 2, 6, 4)

ATTENTION = [
    layer("multihead_attention", lambda: nn.MultiheadAttention(8, 2, batch_first=True), *([normal(2, 5, 8)] * 3)),
    layer(
        "multihead_attention_cross",
        lambda: First(nn.MultiheadAttention(8, 2, kdim=6, vdim=4)),
        normal(5, 2, 8),
        normal(7, 2, 6),
        normal(7, 2, 4),
    ),
    layer("self_attention_causal", _SelfAttention, integers(0, 11, 2, 6)),
    function("attention", F.scaled_dot_product_attention, *_QKV),
    function(
        "attention_causal",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        *([normal(2, 2, 5, 4)] * 3),
    ),
    function(
        "attention_bool_mask",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, torch.ones(5, 6, dtype=torch.bool).tril()),
        *_QKV,
    ),
    function(
        "attention_float_mask",
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, scale=0.3),
        *_QKV,
        normal(5, 6),
    ),
    function(
        "attention_grouped",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        normal(2, 4, 5, 4),
        normal(2, 2, 6, 4),
        normal(2, 2, 6, 4),
    ),
    layer(
        "transformer_encoder_layer",
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu"),
        normal(2, 5, 8),
    ),
    layer(
        "transformer_encoder_norm_first",
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), 2, enable_nested_tensor=False
        ),
        normal(2, 5, 8),
    ),
    layer(
        "transformer_decoder_layer",
        lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
        normal(2, 5, 8),
        normal(2, 6, 8),
    ),
    layer("transformer", lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True), normal(2, 5, 8), normal(2, 4, 8)),
    layer("embedding", lambda: nn.Embedding(11, 4), integers(0, 11, 2, 5)),
    layer("embedding_int32", lambda: nn.Embedding(11, 4, padding_idx=0), integers(0, 11, 2, 5, dtype="int32")),
    layer("embedding_bag", lambda: nn.EmbeddingBag(11, 4, mode="mean"), integers(0, 11, 2, 5)),
    function(
        "rotary",
        lambda x: torch.cat([-x[..., 2:], x[..., :2]], -1) * torch.sin(torch.arange(3.0))[:, None],
        normal(2, 3, 4),
    ),
    layer("lstm", lambda: First(nn.LSTM(4, 5, batch_first=True)), normal(2, 6, 4)),
    layer("lstm_two_directions", lambda: First(nn.LSTM(4, 5, num_layers=2, bidirectional=True)), normal(6, 2, 4)),
    layer("gru", lambda: First(nn.GRU(4, 5, batch_first=True)), normal(2, 6, 4)),
    layer("rnn", lambda: First(nn.RNN(4, 5)), normal(6, 2, 4)),
    layer("lstm_cell", lambda: nn.LSTMCell(4, 5), normal(2, 4)),
    layer("gru_cell", lambda: nn.GRUCell(4, 5), normal(2, 4), normal(2, 5)),
]

REDUCTIONS = [
    function("mean_all", torch.mean, normal(3, 4, 5)),
    function("sum_axes", lambda x: x.sum((0, 2), keepdim=True), normal(3, 4, 5)),
    function("prod", lambda x: x.prod(1), normal(3, 4, 5)),
    function("amax_amin", lambda x: x.amax(1) - x.amin((1,)), normal(3, 4, 5)),
    function("max_with_indices", lambda x: tuple(x.max(1)), normal(3, 4, 5)),
    function("min_all", torch.min, normal(3, 4, 5)),
    function("var", lambda x: x.var(1), normal(3, 4, 5)),
    function("var_biased", lambda x: x.var((1, 2), correction=0, keepdim=True), normal(3, 4, 5)),
    function("std", lambda x: x.std(-1), normal(3, 4, 5)),
    function("var_mean", lambda x: torch.var_mean(x, 0), normal(3, 4, 5)),
    function("norm", lambda x: x.norm(), normal(3, 4, 5)),
    function("norm_axis", lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True), normal(3, 4, 5)),
    function("norm_1", lambda x: torch.linalg.vector_norm(x, 1, dim=1), normal(3, 4, 5)),
    function("norm_3", lambda x: torch.linalg.vector_norm(x, 3, dim=1), normal(3, 4, 5)),
    function("norm_infinite", lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1), normal(3, 4, 5)),
    function("frobenius", lambda x: torch.linalg.matrix_norm(x), normal(3, 4, 5)),
    function("logsumexp", lambda x: x.logsumexp(1), normal(3, 4, 5)),
    function("argmax", lambda x: x.argmax(1), normal(3, 4, 5)),
    function("argmax_flat", lambda x: x.argmax(), normal(3, 4, 5)),
    function("argmin_keep", lambda x: x.argmin(2, keepdim=True), normal(3, 4, 5)),
    function("cumsum", lambda x: x.cumsum(1), normal(3, 4, 5)),
    function("cumsum_of_integers", lambda x: x.cumsum(-1), integers(0, 5, 3, 4)),
    function("diff", lambda x: x.diff(dim=1), normal(3, 6)),
    function("sort", lambda x: tuple(x.sort(1)), normal(3, 5, 4)),
    function("sort_descending", lambda x: tuple(torch.sort(x, -1, descending=True)), normal(3, 5)),
    function("argsort", lambda x: x.argsort(-1), normal(3, 5)),
    function("topk", lambda x: tuple(x.topk(3)), normal(3, 7)),
    function("topk_smallest_axis_1", lambda x: tuple(x.topk(2, 1, largest=False)), normal(3, 7, 2)),
    function("unique", lambda x: torch.unique(x), integers(0, 5, 9)),
    function("nonzero", lambda x: torch.nonzero(x > 0), normal(3, 4)),
    function("masked_select", lambda x: x[x > 0], normal(3, 4)),
    function("bincount", lambda x: torch.bincount(x, minlength=5), integers(0, 5, 9)),
    function("histogram_by_one_hot", lambda x: F.one_hot(x, 5).sum(0), integers(0, 5, 9)),
    function("cross_entropy", lambda x, t: F.cross_entropy(x, t), normal(4, 5), integers(0, 5, 4)),
    function("mse_loss", F.mse_loss, normal(4, 5), normal(4, 5)),
    function("smooth_l1", F.smooth_l1_loss, normal(4, 5), normal(4, 5)),
]

SELECTION = [
    function("where", lambda x, y: torch.where(x > 0, x, y), normal(3, 8), normal(8)),
    function("where_scalar", lambda x: torch.where(x > 0, x, -1.0), normal(3, 8)),
    function(
        "masked_fill",
        lambda x, m: x.masked_fill(m, float("-inf")).softmax(-1),
        normal(3, 8),
        given([[1, 0] * 4], "bool"),
    ),
    function("gather", lambda x, i: x.gather(1, i), normal(3, 6), integers(0, 6, 3, 4)),
    function("gather_axis_0", lambda x, i: x.gather(0, i), normal(5, 3, 2), integers(0, 5, 4, 3, 2)),
    function("take_along_dim", lambda x: torch.take_along_dim(x, x.argsort(1), 1), normal(3, 6)),
    function("scatter", lambda x, i, s: x.scatter(1, i, s), normal(3, 6), permutations(3, 4), normal(3, 4)),
    function("scatter_value", lambda i: torch.zeros(3, 6).scatter(1, i, 1.0), permutations(3, 4)),
    function("scatter_add", lambda x, i, s: x.scatter_add(1, i, s), normal(3, 6), integers(0, 6, 3, 9), normal(3, 9)),
    function(
        "scatter_reduce_max",
        lambda x, i, s: x.scatter_reduce(1, i, s, "amax"),
        normal(3, 6),
        integers(0, 6, 3, 9),
        normal(3, 9),
    ),
    function("index_select", lambda x, i: x.index_select(1, i), normal(3, 6, 2), integers(0, 6, 4)),
    function("index_add", lambda x, i, s: x.index_add(0, i, s), normal(5, 3), integers(0, 5, 7), normal(7, 3)),
    function("index_negative", lambda x: x[:, [-1, 0, -2]], normal(3, 6)),
    function("index_two_tensors", lambda x, i, j: x[i, j], normal(5, 6, 2), integers(0, 5, 4), integers(0, 6, 4)),
    function("index_outer", lambda x, i, j: x[:, i[:, None], j], normal(2, 5, 6), integers(0, 5, 3), integers(0, 6, 4)),
    function(
        "index_put", lambda x, v: x.index_put((torch.tensor([0, 2]), torch.tensor([1, 3])), v), normal(3, 4), normal(2)
    ),
    function(
        "index_put_accumulate",
        lambda x, i, v: x.index_put((i,), v, accumulate=True),
        normal(5, 3),
        integers(0, 5, 7),
        normal(7, 3),
    ),
    function("slice_assign", lambda x: _assigned(x), normal(3, 6)),
    function("select_and_slice", lambda x: x[1, ..., ::2] + x[0, :, -3:], normal(2, 3, 6)),
    function("narrow", lambda x: x.narrow(1, 2, 3), normal(3, 6)),
    function("diagonal", lambda x: torch.diagonal(x, dim1=1, dim2=2), normal(2, 4, 4)),
    function("diag_embed", torch.diag_embed, normal(2, 4)),
    function("tril_triu", lambda x: x.tril() - x.triu(1), normal(2, 4, 5)),
    function("one_hot", lambda x: F.one_hot(x, 6), integers(0, 6, 3, 4)),
    function("one_hot_float", lambda x: F.one_hot(x, 6).float(), integers(0, 6, 3, 4)),
    function("searchsorted", lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0])), normal(3, 4)),
]

MOVEMENT = [
    function("roll", lambda x: x.roll((1, -2), (1, 2)), normal(2, 5, 6)),
    function("flip", lambda x: x.flip((1, 2)), normal(2, 5, 6)),
    function("rot90", lambda x: torch.rot90(x, 1, (2, 3)), normal(1, 2, 3, 4)),
    function("tile", lambda x: x.tile((2, 1, 3)), normal(2, 3)),
    function("repeat", lambda x: x.repeat(2, 1, 2), normal(2, 3)),
    function("repeat_interleave", lambda x: x.repeat_interleave(3, 1), normal(2, 3, 4)),
    function("expand", lambda x: x.expand(4, -1, 5), normal(3, 1)),
    function("expand_bool", lambda x: (x > 0).expand(4, 3, 5), normal(3, 1)),
    function("unfold", lambda x: x.unfold(1, 3, 2), normal(2, 9)),
    function("split", lambda x: x.split((1, 3, 2), 1), normal(2, 6, 3)),
    function("split_size", lambda x: x.split(4, 1), normal(2, 6, 3)),
    function("chunk", lambda x: x.chunk(3, -1), normal(2, 6)),
    function("unbind", lambda x: x.unbind(1), normal(2, 3, 4)),
    function("stack", lambda x, y: torch.stack([x, y, x], 1), normal(2, 3), normal(2, 3)),
    function("cat_mixed_axes", lambda x, y: torch.cat([x, y.mT], -1), normal(2, 3, 4), normal(2, 5, 3)),
    function("permute", lambda x: x.permute(2, 0, 3, 1), normal(2, 3, 4, 5)),
    function("permute_rank_6", lambda x: x.permute(5, 0, 3, 1, 4, 2), normal(2, 3, 2, 3, 2, 2)),
    function(
        "window_partition",
        lambda x: x.view(1, 2, 3, 2, 3, 4).permute(0, 1, 3, 2, 4, 5).reshape(-1, 9, 4),
        normal(1, 6, 6, 4),
    ),
    function("flatten_unflatten", lambda x: x.flatten(1).unflatten(1, (2, -1)), normal(2, 4, 3)),
    function("squeeze_unsqueeze", lambda x: x.squeeze(1).unsqueeze(-1), normal(2, 1, 4)),
    function("movedim", lambda x: x.movedim(1, -1), normal(2, 3, 4)),
    function("meshgrid", lambda x, y: torch.meshgrid(x, y, indexing="ij"), normal(3), normal(4)),
    function("arange_positions", lambda x: x + torch.arange(x.shape[1]), normal(2, 5)),
    function("linspace", lambda x: x * torch.linspace(0, 1, 5), normal(2, 5)),
    function("full_like", lambda x: torch.full_like(x, 2) + torch.zeros_like(x) + torch.ones(5), normal(2, 5)),
    function("triangular_indices", lambda x: x[:, torch.triu_indices(4, 4, 1)[0]], normal(2, 4)),
    function(
        "short_time_spectrum",
        lambda x: torch.view_as_real(torch.stft(x, 16, 8, window=torch.hann_window(16), return_complex=True)).square(),
        normal(2, 64),
    ),
    function("inverse_fft", lambda x: torch.fft.irfft(torch.fft.rfft(x), n=8), normal(2, 8)),
    function("complex_fft", lambda x: torch.view_as_real(torch.fft.rfft(x)), normal(2, 8)),
]


def _assigned(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 1:3] = 0.5
    y[0] += 1
    return y
