"""Mail comes in: where a protocol event becomes a policy request, and a decision a reply."""
