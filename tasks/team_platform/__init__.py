"""A platform for a team on one machine: servers, a store, deployments and a worker, on loopback."""
