"""The operators that an exported depth network may call, by their full names.

All compute on tensors and sizes and do nothing else: none reads or writes a file, calls back, or names memory. They
are those that the networks of kdcli and of timm export to, and their close relatives.
"""

from __future__ import annotations

_FUNCTIONAL = """
    abs acos acosh adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d
    add:Tensor,Scalar addbmm addcdiv addcmul addmm:default,dtype alias all:default,dim,dims amax amin
    __and__:Scalar,Tensor any:default,dim,dims arange:default,start,start_step argmax argmin argsort:default,stable
    asin asinh _assert_async:default,msg _assert_scalar _assert_tensor_metadata atan atan2 atanh avg_pool1d
    avg_pool2d baddbmm:default,dtype batch_norm bitwise_and:Tensor,Scalar,Scalar_Tensor bitwise_not
    bitwise_or:Tensor,Scalar,Scalar_Tensor bitwise_xor:Tensor,Scalar,Scalar_Tensor bmm:default,dtype
    broadcast_tensors broadcast_to bucketize:Tensor,Scalar cat cdist ceil celu channel_shuffle chunk
    clamp:default,Tensor clamp_max:default,Tensor clamp_min:default,Tensor clip:default,Tensor clone concat
    constant_pad_nd contiguous conv1d:default,padding conv2d:default,padding conv3d:default,padding
    conv_transpose2d:input convolution copysign:Tensor,Scalar cos cosh cosine_similarity cumprod cumsum detach diff
    div:Tensor,Scalar,Tensor_mode,Scalar_mode divide:Tensor,Scalar,Tensor_mode,Scalar_mode dot dropout einsum elu
    embedding eq:Tensor,Scalar erf erfc exp exp2 expand expand_as expm1 eye:default,m fill:Scalar,Tensor
    flatten:using_ints flip floor floor_divide:default,Scalar fmax fmin fmod:Tensor,Scalar full full_like gather
    ge:Tensor,Scalar gelu glu grid_sampler grid_sampler_2d group_norm gt:Tensor,Scalar hardshrink hardsigmoid
    hardswish hardtanh hstack im2col index:Tensor index_put index_select instance_norm isfinite isinf isnan
    layer_norm le:Tensor,Scalar leaky_relu lerp:Scalar,Tensor lift_fresh lift_fresh_copy linalg_vector_norm linear
    linspace:Tensor_Tensor,Tensor_Scalar,Scalar_Tensor,default log log10 log1p log2 log_sigmoid log_softmax:int
    logaddexp logical_and logical_not logical_or logical_xor logit logsumexp lt:Tensor,Scalar
    masked_fill:Scalar,Tensor matmul max:other,default,dim max_pool2d maximum mean:default,dim median:default,dim
    meshgrid:default,indexing min:other,default,dim minimum mish mm:default,dtype movedim:int,intlist
    mul:Tensor,Scalar multiply:Tensor,Scalar narrow:default,Tensor native_batch_norm native_group_norm
    native_layer_norm ne:Tensor,Scalar neg new_full new_ones new_zeros nonzero
    norm:Scalar,ScalarOpt_dim,ScalarOpt_dim_dtype,ScalarOpt_dtype numpy_T ones ones_like __or__:Tensor,Scalar outer
    pad permute pixel_shuffle pixel_unshuffle pow:Tensor_Tensor,Tensor_Scalar,Scalar prelu prod:default,dim_int
    promote_types reciprocal reflection_pad2d relu relu6 remainder:Tensor,Scalar,Scalar_Tensor repeat
    repeat_interleave:Tensor,self_Tensor,self_int replication_pad2d reshape reshape_as rms_norm roll rot90
    round:default,decimals rsqrt rsub:Tensor,Scalar scalar_tensor scaled_dot_product_attention
    scatter:value,src,reduce,value_reduce scatter_add select:int selu sgn sigmoid sign silu sin sinh slice:Tensor
    softmax:int _softmax softplus softshrink sort:default,stable special_entr special_erf special_expit
    special_log1p special_xlogy:default,other_scalar,self_scalar split:Tensor,sizes split_with_sizes sqrt square
    squeeze:default,dim,dims stack std:default,dim,correction std_mean:default,dim,correction sub:Tensor,Scalar
    subtract:Tensor,Scalar sum:dim_IntList,default swapaxes sym_constrain_range sym_constrain_range_for_size
    sym_numel sym_size:int,default sym_stride:int,default t take_along_dim tan tanh
    tensor_split:sections,indices,tensor_indices_or_sections threshold tile to:dtype,device,other,dtype_layout _to_copy
    topk transpose:int tril triu true_divide:Tensor,Scalar trunc type_as unbind:int unflatten:int unfold
    unsafe_chunk unsafe_split:Tensor _unsafe_view unsqueeze upsample_bicubic2d:default,vec
    _upsample_bicubic2d_aa:default,vec upsample_bilinear2d:default,vec _upsample_bilinear2d_aa:default,vec
    upsample_linear1d:default,vec upsample_nearest1d:default,vec upsample_nearest2d:default,vec
    _upsample_nearest_exact2d:default,vec var:default,dim,correction var_mean:default,dim,correction view view_as
    vstack where:self,ScalarOther,ScalarSelf,Scalar xlogy:Tensor,Scalar_Other,Scalar_Self __xor__:Tensor,Scalar
    zeros zeros_like
"""
"""Of ``torch.ops.aten``, as ``NAME:OVERLOAD,OVERLOAD``; ``default`` where nothing is said."""

_IN_PLACE = """
    add_:Tensor,Scalar celu_ clamp_:default,Tensor clamp_max_:default,Tensor clamp_min_:default,Tensor copy_ detach_
    div_:Tensor,Scalar,Tensor_mode,Scalar_mode dropout_ elu_ exp_ fill_:Scalar,Tensor gelu_ hardsigmoid_ hardswish_
    hardtanh_ index_put_ leaky_relu_ masked_fill_:Scalar,Tensor mish_ mul_:Tensor,Scalar neg_ relu_ relu6_ selu_
    sigmoid_ silu_ sqrt_ squeeze_:default,dim,dims sub_:Tensor,Scalar tanh_ threshold_ unsqueeze_ zero_
"""
"""The same, on values that the graph itself computed."""

_SIZES = """
    _operator.add _operator.eq _operator.floordiv _operator.ge _operator.getitem _operator.gt _operator.le _operator.lt
    _operator.mod _operator.mul _operator.ne _operator.neg _operator.pos _operator.sub _operator.truediv
    _operator.and_ _operator.or_ _operator.not_
    math.ceil math.floor math.trunc torch.sym_float torch.sym_int torch.sym_max torch.sym_min torch.sym_not
    torch.sym_sum torch.sym_ite torch._sym_sqrt
"""
"""Arithmetic of sizes."""

_REGIONS = """
    torch.ops.higher_order.wrap_with_autocast torch.ops.higher_order.wrap_with_set_grad_enabled
"""
"""A part of the graph at another precision or without gradients; what is in it has to hold to this list as well."""


def _named(text: str) -> set[str]:
    entries = (word.partition(":") for word in text.split())
    return {f"torch.ops.aten.{name}.{one}" for name, _, given in entries for one in (given or "default").split(",")}


PURE = frozenset(_named(_FUNCTIONAL) | _named(_IN_PLACE) | {*_SIZES.split(), *_REGIONS.split()})
"""Full names, as an archive gives them."""
