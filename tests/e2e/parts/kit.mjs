// Asks questions with fhir-kit-client, as an application would, and prints what it got as one JSON object.
//
// stdin: { baseUrl, token, read: { resourceType, id }, search: { resourceType, searchParams }, pages: { resourceType, searchParams } }.

import { readFileSync } from 'node:fs';
import { Client } from 'fhir-kit-client';

const PAGES = 200;
const { baseUrl, token, read, search, pages } = JSON.parse(readFileSync(0, 'utf8'));
const client = new Client({ baseUrl, bearerToken: token });

const walked = [];
let page = await client.search(pages);
while (page && walked.length < PAGES) {
  walked.push(page);
  page = await client.nextPage({ bundle: page });
}
console.log(JSON.stringify({ read: await client.read(read), search: await client.search(search), pages: walked }));
