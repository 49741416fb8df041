//! A message with its place and its way out; many at once.
