// Draws the contract. A token that is typed in stays in the memory of this page.
const place = document.getElementById("reference");
SwaggerUIBundle({
  url: place.dataset.contract,
  domNode: place,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  displayRequestDuration: true,
  docExpansion: "list",
  persistAuthorization: false,
  queryConfigEnabled: false,
  requestSnippetsEnabled: true,
  supportedSubmitMethods: ["get", "post"],
  validatorUrl: null,
});
