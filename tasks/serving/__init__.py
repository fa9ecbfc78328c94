"""Songs over HTTP: bounded requests, a queue before one model, pages that need no network."""
