"use strict";
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  // The validator badge would send the document to a stranger.
  validatorUrl: null,
});
