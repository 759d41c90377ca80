"""Layers that train faster than PyTorch's, on the CPU and, with Triton, on CUDA.

The modules that are nn.Modules choose the implementation by device: linear, lstm, prelu, transformer and convolution.
Those with a name in triton_ hold Triton kernels; selective_scan/ holds the scan of Mamba in all its implementations.
"""
