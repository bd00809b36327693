"""What was found of experiments and is told: conditions, and the outbox of deliveries, in the registry's database."""
