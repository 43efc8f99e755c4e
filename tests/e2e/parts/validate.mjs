// Validates FHIR R4 resources with the npm package `fhir`, which is strict about names, dates and codes.
//
// stdin: a JSON array of resources. stdout: a JSON array of { type, id, problems: [text…] } for those that aren't valid.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { Fhir } = createRequire(import.meta.url)('fhir');
const fhir = new Fhir();
const invalid = [];
for (const resource of JSON.parse(readFileSync(0, 'utf8'))) {
  const { valid, messages } = fhir.validate(resource, { errorOnUnexpected: true });
  const problems = messages.filter((message) => message.severity === 'error').map((message) => `${message.location}: ${message.message}`);
  if (!valid) invalid.push({ type: resource.resourceType, id: resource.id, problems });
}
console.log(JSON.stringify(invalid));
