// Changes a Patient with fhir-kit-client, by an update, a patch and an update of a version that is gone, and prints what it got.
//
// stdin: { baseUrl, token, id }.

import { readFileSync } from 'node:fs';
import { Client } from 'fhir-kit-client';

const { baseUrl, token, id } = JSON.parse(readFileSync(0, 'utf8'));
const client = new Client({ baseUrl, bearerToken: token });
const resourceType = 'Patient';

const read = await client.read({ resourceType, id });
const { response } = Client.httpFor(read);
const version = response.headers.get('etag');
const updated = await client.update({ resourceType, id, body: { ...read, gender: 'other' }, options: { headers: { 'If-Match': version } } });
const jsonPatch = [{ op: 'replace', path: '/gender', value: 'female' }];
const patched = await client.patch({ resourceType, id, jsonPatch });
let stale = 200;
try {
  await client.update({ resourceType, id, body: read, options: { headers: { 'If-Match': version } } });
} catch (error) {
  stale = error.response.status;
}
console.log(JSON.stringify({ updated, patched, stale }));
