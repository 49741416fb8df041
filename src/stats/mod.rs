//! Numbers in, numbers out; knows nothing of language models.
