"""Mail goes out: routes, attempts, outcomes, reports."""
