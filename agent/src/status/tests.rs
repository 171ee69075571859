//! What an SRE reads, from objects as the API gives them.
