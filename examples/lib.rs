//! Programs that show custom workflows; each file beside this one is one.
