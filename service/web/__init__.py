"""Pages of the service. Everything they load is served from here: no CDN, no inline script."""
