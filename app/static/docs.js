// The API's own description, drawn by Swagger UI.
/* global SwaggerUIBundle */
SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, validatorUrl: null, defaultModelsExpandDepth: -1 });
