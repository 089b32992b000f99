"""One file a problem: reduced instances as tensors, the state while decoding, and sub-instances of labelled solutions."""
